"""The rules that tie records together, strongest first, and what each is worth."""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of evidence.

    Attributes:
        name: stands in `match_rule` of the links and in the edges.
        probability: a documented constant, 0 to 1: how sure the rule is by itself. The
            deterministic rules of this version are not estimated from the data.
        authoritative: whether a person or a system stated the link outright, so that names that
            contradict each other do not undo it.
        meaning: one sentence for explanations.
    """

    name: str
    probability: float
    authoritative: bool
    meaning: str


SINGLE = "single"

PERSON_RULES = (
    Rule(
        "stripe_crm_contact_id",
        1.0,
        True,
        "The billing customer names the CRM contact in its metadata. Where customers whose names "
        "contradict each other name one contact, only those whose name fits it are tied to it.",
    ),
    Rule(
        "shop_order_payment",
        1.0,
        False,
        "The billing customer paid the shop order, and the names do not contradict each other.",
    ),
    Rule("email_and_name", 0.999, False, "Same mailbox, and the names agree."),
    Rule(
        "email",
        0.98,
        False,
        "Same mailbox; the names are missing or unclear and do not contradict each other.",
    ),
    Rule("phone_and_name", 0.97, False, "Same national phone number, and the names agree."),
    Rule(
        "name_and_account",
        0.95,
        False,
        "Same full name at the same organisation, where no two mailboxes, and no two "
        "records with another mailbox and another number, bear that name.",
    ),
    Rule(
        "phone_and_account",
        0.95,
        False,
        "Same phone number at the same organisation; one record bears the organisation's name.",
    ),
)

ACCOUNT_RULES = (
    Rule("website_domain", 0.99, False, "Same website, which is not a shared host."),
    Rule(
        "name_and_country",
        0.95,
        False,
        "Same name without legal form; countries, websites and legal forms do not differ.",
    ),
)

# A reference that dbt delivers under a rule unknown here counts like this.
OTHER_REFERENCE_PROBABILITY = 1.0
