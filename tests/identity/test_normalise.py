from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from identity.normalise import country_code, email_domain, email_key, phone_key, website_domain
from identity.organisations import formal_organisation_key, legal_form, organisation_key
from identity.text import fold
from identity.values import VALUES

MAILBOXES = st.from_regex(r"[a-z][a-z0-9]{2,10}(\.[a-z0-9]{2,8})?", fullmatch=True)
DOMAINS = st.from_regex(r"[a-z]{3,8}\.(example|com|org)", fullmatch=True)


@given(MAILBOXES, DOMAINS, st.from_regex(r"[a-z0-9]{0,6}", fullmatch=True), st.booleans())
def test_case_spaces_and_tags_of_an_address_do_not_count(
    mailbox: str, domain: str, tag: str, shout: bool
) -> None:
    written = f"  {mailbox}+{tag}@{domain}\t"
    key = email_key(written.upper() if shout else written)
    assert key == email_key(f"{mailbox}@{domain}")


@given(st.text(), st.text() | DOMAINS)
def test_an_email_key_is_its_own_key(mailbox: str, domain: str) -> None:
    key = email_key(f"{mailbox}@{domain}")
    assert key is None or email_key(key) == key


@given(MAILBOXES, DOMAINS)
def test_an_ordinary_address_is_a_key_of_its_own(mailbox: str, domain: str) -> None:
    assume(mailbox not in VALUES.mailbox_names and domain not in VALUES.mailbox_domains)
    assume(domain not in VALUES.same_mailbox)
    assert email_key(f"{mailbox}@{domain}") == f"{mailbox}@{domain}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fake.nora.khan@gmail.com", "fakenorakhan@googlemail.com"),
        ("Fake.Nora.Khan+shop@GMAIL.com", "fakenorakhan@gmail.com"),
        ("\uff4eora@mail.example", "nora@mail.example"),  # a full-width n
        ("nora@b\u00fccher.example", "nora@xn--bcher-kva.example"),
        ("mailto:nora@mail.example", "nora@mail.example"),
        (unicodedata.normalize("NFD", "zo\u00eb@mail.example"), "zo\u00eb@mail.example"),
    ],
)
def test_two_spellings_of_one_mailbox_are_one(one: str, other: str) -> None:
    assert email_key(one) == email_key(other) is not None


def test_dots_count_where_the_provider_counts_them() -> None:
    assert email_key("n.khan@mail.example") != email_key("nkhan@mail.example")


@pytest.mark.parametrize(
    "address",
    [
        "info@acme.example",
        "INFO+shop@acme.example",
        "accounts@acme.example",
        "no-reply@acme.example",
        "noemail@none.example",
        "test@test.example",
        "nora@@mail.example",
        "nora@localhost",
        "nora@mail.invalid",
        "nora mail.example",
        "nora@mail..example",
        "nora@mail.example, ben@mail.example",
        "nora khan@mail.example",
        ".nora@mail.example",
        "@mail.example",
        "+tag@mail.example",
        "nora@-mail-.example",
        "n/a",
        "",
    ],
)
def test_an_address_of_nobody_or_a_broken_one_is_no_evidence(address: str) -> None:
    assert email_key(address) is None


def test_a_private_providers_domain_is_no_employer() -> None:
    assert email_domain("nora@gmail.com") is None
    assert email_domain("nora@acme.example") == "acme.example"


@pytest.mark.parametrize("country", [None, "US", "CA", "GB", "DE", "FR", "JP"])
@pytest.mark.parametrize(
    "written",
    [
        "+19475550197",
        "947-555-0197",
        "(947) 555-0197",
        "947.555.0197",
        "1 947 555 0197",
        "9475550197",
        "+1-947-555-0197 ext. 4",
    ],
)
def test_seven_formats_of_a_number_are_one_number_in_every_country(
    written: str, country: str | None
) -> None:
    assert phone_key(written, country) == "9475550197"


@pytest.mark.parametrize(
    ("national", "international", "country"),
    [
        ("03-1234-5678", "+81 3 1234 5678", "JP"),
        ("030 123456", "+49 30 123456", "DE"),
        ("020 7946 0123", "0044 20 7946 0123", "GB"),
        ("01 99 00 12 34", "+33 1 99 00 12 34", "FR"),
    ],
)
def test_a_national_number_equals_its_international_form(
    national: str, international: str, country: str
) -> None:
    assert phone_key(national, country) == phone_key(international, country) is not None


@pytest.mark.parametrize(
    "written", ["000-000-0000", "1111111111", "1234567890", "12", "call me", "", "9" * 30]
)
def test_a_number_of_nobody_is_no_evidence(written: str) -> None:
    assert phone_key(written, "US") is None


@given(st.text(), st.sampled_from([None, "US", "DE", "JP"]))
def test_any_text_may_stand_where_a_phone_number_is_expected(
    text: str, country: str | None
) -> None:
    key = phone_key(text, country)
    assert key is None or key.isdigit()


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("us", "US"),
        (" United States ", "US"),
        ("U.S.A.", None),
        ("USA", "US"),
        ("UK", "GB"),
        ("Deutschland", "DE"),
        ("Allemagne", "DE"),
        ("\u65e5\u672c", "JP"),
        ("C\u00f4te d\u2019Ivoire", "CI"),
        ("Narnia", None),
        ("", None),
    ],
)
def test_a_country_is_known_by_code_and_by_name(written: str, code: str | None) -> None:
    assert country_code(written) == code


@pytest.mark.parametrize(
    "written",
    [
        "acme.example",
        "www.acme.example",
        "http://acme.example",
        "HTTPS://WWW.Acme.Example/about?x=1#top",
        "//acme.example:8443/",
        " acme.example. ",
    ],
)
def test_a_website_is_its_host(written: str) -> None:
    assert website_domain(written) == "acme.example"


@pytest.mark.parametrize(
    "written", ["https://www.facebook.com/acme", "gmail.com", "acme", "n/a", "", "http://"]
)
def test_a_page_on_a_shared_host_is_no_evidence(written: str) -> None:
    assert website_domain(written) is None


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_composition_and_case_of_letters_do_not_count(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    "written",
    [
        "Zephyr Marine",
        "ZEPHYR MARINE, Inc.",
        "Zephyr Marine GmbH & Co. KG",
        "The ZephyrMarine S.A.",
    ],
)
def test_legal_form_and_spelling_of_an_organisation_do_not_count(written: str) -> None:
    assert organisation_key(written) == "zephyrmarine"


def test_a_legal_form_is_one_in_all_its_spellings() -> None:
    assert legal_form("Acme Limited") == legal_form("ACME, Ltd.") == "ltd"
    assert legal_form("Acme") is None
    assert legal_form("Inc") is None


def test_only_a_name_with_a_legal_form_is_surely_an_organisations() -> None:
    assert formal_organisation_key("Willow Supply Ltd") == "willowsupply"
    assert formal_organisation_key("Willow Supply") is None
