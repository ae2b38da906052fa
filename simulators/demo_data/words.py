"""The vocabulary of the invented company: names, trades, products. None of it is a real person.

Family names are put together from parts, so that a large population has many of them, as a real
one has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Culture:
    """First names and family-name parts that go together.

    Attributes:
        weight: How often the culture is drawn, relative to the others.
        first: First names, in the spelling the person uses.
        stems: Beginnings of family names.
        endings: Ends of family names; stem + ending is a family name.
        native: The same parts in the person's own alphabet, keyed by the Latin part. A person whose
            three parts are all present sometimes appears in that alphabet.
    """

    weight: int
    first: tuple[str, ...]
    stems: tuple[str, ...]
    endings: tuple[str, ...]
    native: Mapping[str, str] = field(default_factory=dict)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_CYRILLIC = {
    "Bogdan": "Богдан", "Darina": "Дарина", "Milena": "Милена", "Zoran": "Зоран",
    "Radmila": "Радмила", "Stanimir": "Станимир", "Tamara": "Тамара", "Ruslan": "Руслан",
    "Kvitan": "Квитан", "Dubrav": "Дубрав", "Ozer": "Озер", "Polyan": "Полян", "Rud": "Руд",
    "Gorod": "Город", "Medov": "Медов", "enko": "енко", "in": "ин", "ich": "ич",
}  # fmt: skip
_GREEK = {
    "Dafni": "Δάφνη", "Kleio": "Κλειώ", "Thaleia": "Θάλεια", "Fotis": "Φώτης",
    "Ariadni": "Αριάδνη", "Minos": "Μίνως", "Kalam": "Καλαμ", "Stam": "Σταμ", "Lemon": "Λεμον",
    "Thalass": "Θαλασσ", "Kanell": "Κανελλ", "akis": "άκης", "idis": "ίδης", "atos": "άτος",
}  # fmt: skip

CULTURES = (
    Culture(
        weight=55,
        first=_words(
            "Abigail Alistair Barnaby Beatrice Benjamin Brendan Charlotte Clementine Cordelia "
            "Deborah Edward Felicity Frederick Gabriel Geoffrey Gwendolyn Harriet Imogen Isabella "
            "Jonathan Josephine Kenneth Leonard Lorna Marcus Miranda Nathaniel Nicholas Pamela "
            "Penelope Quentin Raymond Rebecca Rosalind Rupert Samantha Sebastian Susannah Theodore "
            "Timothy Tristan Verity Victoria Winifred Zachary"
        ),
        stems=_words(
            "Ash Birch Brack Caul Chester Clay Cran Dun Elder Fair Fen Garth Hazel Hollin Kirk "
            "Lang Marl Mill Nether North Oak Pem Quarn Raven Sallow Shel Stan Thorn Under Wake "
            "Wick Winter Wood Yarn"
        ),
        endings=_words(
            "bourne bridge bury combe croft dale den field ford garth grave ham hurst ley low mere "
            "more ridge stead stone ton wick wold worth"
        ),
    ),
    Culture(
        weight=9,
        first=_words("Åsa Göran Pål Bjørg Håkon Sigrún Þóra Ørjan Maija Väinö Torvald Freydís"),
        stems=_words("Lind Sjö Hög Strand Ås Grön Björk Vest Mörk Sten Elv Snø"),
        endings=_words("kvist gren lund holm dahl strøm vik berget mark"),
    ),
    Culture(
        weight=8,
        first=_words("Zdeněk Přemysl Żaneta Ágnes Jörg Käthe Božena Wacław Ildikó Štěpán Łucja"),
        stems=_words("Dvoř Koł Müntz Šťast Żuraw Bürgl Kőszeg Jeř Szűcs Brąz Lösch"),
        endings=_words("áček odziej er ný iński ler ák owicz ner"),
    ),
    Culture(
        weight=8,
        first=_words("Begoña Íñigo Aurélie Théo Conceição João Gaëlle Noël Ainhoa Rocío Françoise"),
        stems=_words("Peñal Ibar Goñ Lefèv Brand Magal Etxe Saint Queir Béran Valdé Frênn"),
        endings=_words("ver rola i re ão hães berria ier ós gère mont"),
    ),
    Culture(
        weight=7,
        first=_words("Bogdan Darina Milena Zoran Radmila Stanimir Tamara Ruslan"),
        stems=_words("Kvitan Dubrav Ozer Polyan Rud Gorod Medov"),
        endings=_words("enko in ich"),
        native=_CYRILLIC,
    ),
    Culture(
        weight=5,
        first=_words("Dafni Kleio Thaleia Fotis Ariadni Minos"),
        stems=_words("Kalam Stam Lemon Thalass Kanell"),
        endings=_words("akis idis atos"),
        native=_GREEK,
    ),
    Culture(
        weight=8,
        first=_words("Devika Anjali Farida Kwame Chidi Rukhsana Imran Yetunde Haruka Kenta Thảo"),
        stems=_words("Chakra Adé Mwan Fuji Huỳ Ran Sata Oye Kuru Đặn Bala"),
        endings=_words("moto nh gi wale murthy sen dan niyi tta"),
    ),
)

# Only first names of CULTURES stand here. "Ted", "Len" and "Sam" fit more than one person.
NICKNAMES: Mapping[str, tuple[str, ...]] = {
    "Abigail": ("Abby", "Gail"), "Alistair": ("Ally",), "Barnaby": ("Barney",),
    "Beatrice": ("Bea", "Trixie"), "Benjamin": ("Ben", "Benji"), "Charlotte": ("Lottie", "Charlie"),
    "Clementine": ("Clem",), "Deborah": ("Debbie", "Deb"), "Edward": ("Ted", "Ned", "Eddie"),
    "Frederick": ("Fred", "Freddie"), "Gabriel": ("Gabe",), "Geoffrey": ("Geoff",),
    "Gwendolyn": ("Gwen",), "Harriet": ("Hattie",), "Isabella": ("Bella", "Izzy"),
    "Jonathan": ("Jon", "Jonny"), "Josephine": ("Jo", "Josie"), "Kenneth": ("Ken", "Kenny"),
    "Leonard": ("Len", "Leo"), "Nathaniel": ("Nate", "Nat"), "Nicholas": ("Nick", "Nico"),
    "Pamela": ("Pam",), "Penelope": ("Penny",), "Raymond": ("Ray",), "Rebecca": ("Becky", "Becca"),
    "Samantha": ("Sam",), "Sebastian": ("Seb", "Bas"), "Susannah": ("Sue", "Susie"),
    "Theodore": ("Theo", "Ted"), "Timothy": ("Tim",), "Victoria": ("Vicky", "Tori"),
    "Winifred": ("Winnie", "Fred"), "Zachary": ("Zach", "Zack"),
}  # fmt: skip

COMPANY_MARKS = _words(
    "Alder Basalt Cinder Drift Elm Falcon Gale Hollow Indigo Jasper Kite Larch Mesa Nimbus Ochre "
    "Pewter Quill Rowan Saffron Thistle Upland Vesper Wren Yarrow Zinnia"
)
COMPANY_TRADES = _words(
    "Bearings Ceramics Freight Genomics Insurance Kitchens Lighting Outdoor Packaging Pharma "
    "Printing Software Solar Tooling Travel Vineyards Water Weaving"
)
INDUSTRIES = _words("Agriculture Construction Education Hospitality Manufacturing Transport")
LEGAL_FORMS: Mapping[str, tuple[str, ...]] = {
    "US": ("Inc.", "LLC", "Corp"), "GB": ("Ltd", "PLC"), "DE": ("GmbH", "AG"),
    "FR": ("SAS", "S.A."), "CA": ("Inc.", "Limited"), "JP": ("K.K.", "Co., Ltd."),
}  # fmt: skip
COUNTRY_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "US": ("US", "United States", "USA"), "GB": ("GB", "UK", "United Kingdom"),
    "DE": ("DE", "Germany"), "FR": ("FR", "France"), "CA": ("CA", "Canada"), "JP": ("JP", "Japan"),
}  # fmt: skip
MAIL_PROVIDERS = ("letterbox.example", "courier.example", "pigeonpost.example")
SECOND_MAIL_DOMAIN = "private.example"

PRODUCT_MATERIALS = _words("Ash Brass Copper Enamel Flint Linen Oak Slate")
PRODUCT_THINGS = _words("Basket Bench Bowl Kettle Lamp Tray")
