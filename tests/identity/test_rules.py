"""Every rule and every guard, from the views to the links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from identity_input import account, person, reference

from identity.rules import ACCOUNT_RULES, PERSON_RULES

if TYPE_CHECKING:
    from identity_input import Identities

NORA = {"first_name": "Nora", "last_name": "Patel"}
JOHN = {"first_name": "John", "last_name": "Smith"}
MARY = {"first_name": "Mary", "last_name": "Smith"}
MAIL, PHONE = "nora.patel@mail.example", "+1 947 555 0197"
ACME = account("A1", "Acme Tools Inc", website="www.acme.example", employees=40)
PAIRS = {
    "stripe_crm_contact_id": [
        person("salesforce", "1", **NORA),
        person("stripe", "2", full_name="Ben Okafor"),
    ],
    "shop_order_payment": [
        person("shopify", "1", **NORA),
        person("stripe", "2", full_name="N. Patel"),
    ],
    "email_and_name": [
        person("salesforce", "1", email=MAIL.upper(), **NORA),
        person("stripe", "2", email="nora.patel+x@mail.example", full_name="Patel, Nora"),
    ],
    "email": [
        person("salesforce", "1", email=MAIL, **NORA),
        {**person("shopify", "2", email=MAIL), "source_object": "orders"},
    ],
    "phone_and_name": [
        person("salesforce", "1", phone=PHONE, **NORA),
        person("hubspot", "2", phone="(947) 555-0197", country="Germany", **NORA),
    ],
    "name_and_account": [
        person("salesforce", "1", account_source_id="A1", first_name="Bob", last_name="Lee"),
        person("hubspot", "2", company="ACME Tools", first_name="Robert", last_name="Lee"),
    ],
    "phone_and_account": [
        person("salesforce", "1", account_source_id="A1", phone=PHONE, **NORA),
        person("stripe", "2", full_name="Acme Tools Inc", phone="947.555.0197"),
    ],
}
APART = [["1"], ["2"]]
TOGETHER = [["1", "2"]]


def test_every_rule_for_persons_is_tried_here() -> None:
    assert list(PAIRS) == [rule.name for rule in PERSON_RULES]


@pytest.mark.parametrize("rule", PERSON_RULES, ids=lambda rule: rule.name)
def test_each_rule_ties_two_records_and_gives_its_name_and_probability(
    rule: object, identities: Identities
) -> None:
    name, probability = rule[0], rule[1]  # type: ignore[index]
    one, other = PAIRS[name]
    says = [reference(other, one, name)] if name in list(PAIRS)[:2] else []
    identities.deliver(PAIRS[name], says, [ACME])
    identities.resolve()
    assert identities.groups() == TOGETHER
    links = identities.rows("select match_rule, match_probability from identity.customer_links")
    assert [(rule, float(p)) for rule, p in links] == [(name, probability)] * 2
    edges = identities.rows("select left_id, right_id, rule, is_used from identity.customer_edges")
    assert edges == [("1", "2", name, True)]


def test_a_record_that_nothing_ties_is_single(identities: Identities) -> None:
    identities.deliver([person("salesforce", "1"), person("stripe", "2", **NORA)])
    resolution = identities.resolve()
    assert (resolution.records, resolution.customers) == (2, 2)
    links = identities.rows("select match_rule, match_probability from identity.customer_links")
    assert links == [("single", 1), ("single", 1)]


def test_the_strongest_rule_of_a_record_stands_on_its_link(identities: Identities) -> None:
    rows = [
        person("salesforce", "1", email=MAIL, phone=PHONE, **NORA),
        person("hubspot", "2", email=MAIL, phone=PHONE, **NORA),
        person("shopify", "3", phone=PHONE, **NORA),
    ]
    identities.deliver(rows)
    identities.resolve()
    rules = dict(identities.rows("select source_id, match_rule from identity.customer_links"))
    assert rules == {"1": "email_and_name", "2": "email_and_name", "3": "phone_and_name"}


@pytest.mark.parametrize(
    ("why", "one", "other"),
    [
        ("household", {"phone": PHONE, **JOHN}, {"phone": PHONE, **MARY}),
        ("number alone", {"phone": PHONE}, {"phone": PHONE}),
        ("family number", {"phone": PHONE, "last_name": "Smith"}, {"phone": PHONE, **JOHN}),
        ("placeholder number", {"phone": "000-000-0000", **NORA}, {"phone": "0000000000", **NORA}),
        ("namesakes", {**NORA, "country": "US"}, {**NORA, "country": "US"}),
        ("role address", {"email": "info@acme.example", **NORA}, {"email": "info@acme.example"}),
        ("placeholder", {"email": "noemail@none.example"}, {"email": "noemail@none.example"}),
        ("broken address", {"email": "nora@@mail.example"}, {"email": "nora@@mail.example"}),
        ("family mailbox", {"email": MAIL, **JOHN}, {"email": MAIL, **MARY}),
        ("nothing at all", {}, {}),
        ("empty texts", {"email": "", "phone": ""}, {"email": "", "phone": ""}),
    ],
)  # fmt: skip
def test_what_is_no_evidence_ties_nobody(
    why: str, one: dict[str, str], other: dict[str, str], identities: Identities
) -> None:
    identities.deliver([person("salesforce", "1", **one), person("hubspot", "2", **other)])
    identities.resolve()
    assert identities.groups() == APART, why


def test_records_of_one_system_are_merged_by_the_same_rules(identities: Identities) -> None:
    rows = [person("hubspot", key, email=MAIL, **NORA) for key in ("1", "2")]
    identities.deliver(rows)
    identities.resolve()
    assert identities.groups() == TOGETHER


def test_an_address_shared_by_many_names_belongs_to_nobody(identities: Identities) -> None:
    names = ["Ana", "Ben", "Cleo", "Dora", "Emil", "Finn", "Gus", "Hana", "Ivo", "Jill", "Kurt"]
    rows = [
        person("hubspot", f"{name}{n}", email=MAIL, first_name=name, last_name=f"{name}son")
        for name in names
        for n in (1, 2)
    ]
    identities.deliver(rows)
    identities.resolve()
    assert len(identities.groups()) == 22


def test_an_order_from_a_family_mailbox_is_given_to_neither(identities: Identities) -> None:
    rows = [
        person("hubspot", "john", email=MAIL, **JOHN),
        person("hubspot", "mary", email=MAIL, **MARY),
        person("shopify", "mary2", email=MAIL, **MARY),
        {**person("shopify", "order", email=MAIL), "source_object": "orders"},
    ]
    identities.deliver(rows)
    identities.resolve()
    assert identities.groups() == [["john"], ["mary", "mary2"], ["order"]]


def test_paying_somebody_elses_order_is_no_evidence(identities: Identities) -> None:
    john, mary = person("shopify", "1", **JOHN), person("stripe", "2", full_name="Mary Smith")
    identities.deliver([john, mary], [reference(mary, john, "shop_order_payment")])
    identities.resolve()
    assert identities.groups() == APART


def test_a_chain_over_a_nameless_order_does_not_join_two_people(identities: Identities) -> None:
    order = {**person("shopify", "order", email=MAIL), "source_object": "orders"}
    john = person("hubspot", "john", email=MAIL, **JOHN)
    mary = person("stripe", "mary", full_name="Mary Smith")
    identities.deliver([order, john, mary], [reference(mary, order, "shop_order_payment")])
    identities.resolve()
    assert identities.groups() == [["john"], ["mary", "order"]]
    unused = identities.rows(
        "select left_id, right_id, rule from identity.customer_edges where not is_used"
    )
    assert unused == [("order", "john", "email")]


def test_a_reference_that_fits_records_of_two_sources_is_followed_to_neither(
    identities: Identities,
) -> None:
    home = person("salesforce", "1")
    abroad = {**home, "source": "salesforce_emea"}
    payer = person("stripe", "2")
    identities.deliver([home, abroad, payer], [reference(payer, home, "stripe_crm_contact_id")])
    identities.resolve()
    assert len(set(identities.links().values())) == 3


def test_a_contact_that_payers_of_other_names_carry_too_is_only_the_one_whose_name_fits(
    identities: Identities,
) -> None:
    contact = person("salesforce", "1", **JOHN)
    payers = [
        person("stripe", "2", full_name="J. Smith"),
        person("stripe", "3", full_name="Nora Patel"),
        person("stripe", "4", full_name="Ben Okafor"),
    ]
    says = [reference(payer, contact, "stripe_crm_contact_id") for payer in payers]
    identities.deliver([contact, *payers], says)
    identities.resolve()
    assert identities.groups() == [["1", "2"], ["3"], ["4"]]


def test_a_reference_to_a_record_that_is_gone_ties_nothing(identities: Identities) -> None:
    payer = person("stripe", "2")
    gone = person("salesforce", "1")
    identities.deliver([payer], [reference(payer, gone, "stripe_crm_contact_id")])
    identities.resolve()
    assert identities.groups() == [["2"]]


def test_namesakes_at_one_organisation_with_a_mailbox_each_are_two(identities: Identities) -> None:
    rows = [
        person("hubspot", "1", email="nora.patel@acme.example", **NORA),
        person("hubspot", "2", email="nora.patel2@acme.example", **NORA),
        person("hubspot", "3", company="Acme Tools", **NORA),
    ]
    identities.deliver(rows, (), [ACME])
    identities.resolve()
    assert identities.groups() == [["1"], ["2"], ["3"]]


def test_namesakes_at_one_organisation_who_share_neither_mailbox_nor_number_are_two(
    identities: Identities,
) -> None:
    at_acme = {"account_source_id": "A1", **JOHN}
    identities.deliver(
        [
            person("salesforce", "1", email="js@mail.example", phone=PHONE, **at_acme),
            person("salesforce", "2", email="john@post.example", phone="947 555 0111", **at_acme),
            person("salesforce", "3", email="j.smith@box.example", **at_acme),
        ],
        [],
        [ACME],
    )
    identities.resolve()
    assert identities.groups() == [["1"], ["2"], ["3"]]


def test_in_a_large_organisation_a_name_is_no_evidence(identities: Identities) -> None:
    identities.deliver(PAIRS["name_and_account"], (), [{**ACME, "employees": 30_000}])
    identities.resolve()
    assert identities.groups() == APART


def test_a_switchboard_with_two_people_says_nothing_of_the_companys_own_record(
    identities: Identities,
) -> None:
    people = [
        person("salesforce", key, account_source_id="A1", phone=PHONE, **name)
        for key, name in (("john", JOHN), ("nora", NORA))
    ]
    identities.deliver(
        [*people, person("stripe", "acme", full_name="ACME Tools, Inc.", phone=PHONE)], (), [ACME]
    )
    identities.resolve()
    assert identities.groups() == [["acme"], ["john"], ["nora"]]


SITE = {"website": "https://www.acme.example/about"}
GB = {"country": "GB"}


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("website_domain", ("Acme", SITE), ("Acme Tools Ltd", {"website": "acme.example"})),
        ("name_and_country", ("ACME Tools", {"country": "UK"}), ("Acme Tools Ltd", SITE | GB)),
        ("name_and_country", ("Acme Tools", {}), ("AcmeTools", {"country": "United States"})),
        (None, ("Acme Tools", {"country": "US"}), ("Acme Tools", {"country": "Canada"})),
        (None, ("Acme Tools", SITE), ("Acme Tools", {"website": "acmetools.example"})),
        (None, ("Acme Tools Ltd", {}), ("Acme Tools PLC", {})),
        (None, ("Acme", {"website": "facebook.com/a"}), ("Bolt", {"website": "facebook.com/b"})),
        (None, ("Acme", {"website": "gmail.com"}), ("Bolt", {"website": "gmail.com"})),
    ],
)  # fmt: skip
def test_organisations_are_tied_by_website_or_by_name_where_nothing_differs(
    rule: str | None,
    one: tuple[str, dict[str, str]],
    other: tuple[str, dict[str, str]],
    identities: Identities,
) -> None:
    identities.deliver((), (), [account("1", one[0], **one[1]), account("2", other[0], **other[1])])
    identities.resolve()
    assert identities.groups("account") == (TOGETHER if rule else APART)
    rules = identities.rows("select distinct match_rule from identity.account_links")
    assert rules == [(rule or "single",)]


def test_a_name_borne_by_two_organisations_is_given_to_neither(identities: Identities) -> None:
    rows = [
        account("1", "Acme", website="acme.example"),
        account("2", "Acme", website="acme2.example"),
        account("3", "Acme"),
    ]
    identities.deliver((), (), rows)
    identities.resolve()
    assert identities.groups("account") == [["1"], ["2"], ["3"]]


def test_a_site_shared_by_many_names_is_nobodys(identities: Identities) -> None:
    rows = [account(str(n), f"Firm {'abcdefg'[n]}", website="directory.example") for n in range(7)]
    identities.deliver((), (), rows)
    assert identities.resolve().accounts == 7


def test_every_rule_for_organisations_is_tried_here() -> None:
    assert [rule.name for rule in ACCOUNT_RULES] == ["website_domain", "name_and_country"]
