"""Salesforce: accounts and contacts, with duplicates, merges, deletions and new owners."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from simulators.demo_data.chance import between, happens, pick, stream, token
from simulators.demo_data.clock import salesforce_time
from simulators.demo_data.mess import (
    PLACEHOLDER_PHONE,
    format_phone,
    write_company,
    write_country,
    write_website,
)
from simulators.demo_data.records import (
    PersonRecord,
    appearances,
    by_person,
    grouped,
    share_by_kind,
    time_in_batch_2,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from random import Random

    from simulators.demo_data.clock import Timeline
    from simulators.demo_data.people import Organisation, Person
    from simulators.demo_data.records import Row

_OWNERS = 9
LEAD_SOURCES = ("", "Event", "Partner", "Referral", "Web")
_CHECK_LETTERS = ascii_uppercase + "012345"


def salesforce_id(rng: Random, prefix: str) -> str:
    """A new 18-character id of the object kind with the prefix."""
    return with_checks(f"{prefix}{token(rng, 12)}")


def with_checks(body: str) -> str:
    """Fifteen characters that tell letter case apart, and three more that check that case.

    Each check character stands for five characters; its bits say which of them are capitals.
    """
    checks = (
        sum(1 << place for place, letter in enumerate(body[start : start + 5]) if letter.isupper())
        for start in (0, 5, 10)
    )
    return body + "".join(_CHECK_LETTERS[check] for check in checks)


def invent_owners(seed: int) -> list[str]:
    """The user ids of the sales people."""
    rng = stream(seed, "salesforce owners")
    return [salesforce_id(rng, "005") for _ in range(_OWNERS)]


@dataclass(slots=True, kw_only=True)
class Account:
    """A record about an organisation; a duplicate one is written differently."""

    source_id: str
    organisation: Organisation
    name: str
    website: str
    industry: str
    employees: str
    revenue: str
    country: str
    owner_id: str
    created_at: datetime
    duplicate: bool
    moved_at: datetime | None = None
    next_owner_id: str = ""


def invent_accounts(
    seed: int, organisations: Sequence[Organisation], owners: Sequence[str], timeline: Timeline
) -> list[Account]:
    """Every organisation has an account in the first year; about one in twelve has a second one."""
    rng = stream(seed, "salesforce accounts")
    first_year_end = timeline.begins + (timeline.end_batch_1 - timeline.begins) / 2
    accounts = []
    for organisation in organisations:
        created_at = between(rng, timeline.begins, first_year_end)
        accounts.append(_account(rng, organisation, owners, created_at, duplicate=False))
    for organisation in pick(rng, organisations, 0.08):
        created_at = between(rng, timeline.begins, timeline.end_batch_1)
        accounts.append(_account(rng, organisation, owners, created_at, duplicate=True))
    for account in pick(rng, accounts, 0.06):
        account.moved_at = between(rng, timeline.end_batch_1, timeline.end_batch_2)
        account.next_owner_id = rng.choice(owners)
    return accounts


def _account(
    rng: Random,
    organisation: Organisation,
    owners: Sequence[str],
    created_at: datetime,
    *,
    duplicate: bool,
) -> Account:
    return Account(
        source_id=salesforce_id(rng, "001"),
        organisation=organisation,
        name=write_company(rng, organisation),
        website=write_website(rng, organisation),
        industry="" if happens(rng, 0.13) else organisation.industry,
        employees="" if happens(rng, 0.12) else str(organisation.employees),
        revenue="" if happens(rng, 0.4) else str(rng.randrange(9, 900) * 100_000),
        country=write_country(rng, organisation.country),
        owner_id=rng.choice(owners),
        created_at=created_at,
        duplicate=duplicate,
    )


def account_row(account: Account, at: datetime) -> tuple[datetime, Row] | None:
    """The account as `Account.csv` shows it at the instant, with its version; None: not yet."""
    if account.created_at >= at:
        return None
    moved = account.moved_at if account.moved_at and account.moved_at < at else None
    changed_at = moved or account.created_at
    return changed_at, {
        "Id": account.source_id,
        "Name": account.name,
        "Website": account.website,
        "Industry": account.industry,
        "NumberOfEmployees": account.employees,
        "AnnualRevenue": account.revenue,
        "BillingCountry": account.country,
        "OwnerId": account.next_owner_id if moved else account.owner_id,
        "CreatedDate": salesforce_time(account.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "false",
    }


@dataclass(slots=True, kw_only=True)
class Contact(PersonRecord):
    """A record about a person; one that was merged away names its master."""

    account_id: str
    lead_source: str
    owner_id: str
    next_owner_id: str
    next_phone: str | None
    merged_into: str = ""


def invent_contacts(
    seed: int,
    people: Sequence[Person],
    accounts: Sequence[Account],
    owners: Sequence[str],
    timeline: Timeline,
) -> list[Contact]:
    """Contacts of people, some twice; in the second batch some are edited, deleted or merged."""
    rng = stream(seed, "salesforce contacts")
    accounts_of = grouped(accounts, lambda account: account.organisation.org_id)
    share = share_by_kind(business=0.76, private=0.22)
    contacts = []
    for seen in appearances(rng, people, timeline, share):
        organisation = seen.person.organisation
        known = accounts_of[organisation.org_id] if organisation else []
        phone = seen.written.phone
        rewrite = seen.person.phone if phone not in (None, PLACEHOLDER_PHONE) else None
        contacts.append(
            Contact(
                source_id=salesforce_id(rng, "003"),
                person=seen.person,
                created_at=seen.created_at,
                written=seen.written,
                duplicate=seen.duplicate,
                account_id=rng.choice(known).source_id if known else "",
                lead_source=rng.choice(LEAD_SOURCES),
                owner_id=rng.choice(owners),
                next_owner_id=rng.choice(owners),
                next_phone=format_phone(rng, rewrite) if rewrite else phone,
            )
        )
    for contact in pick(rng, contacts, 0.13):
        contact.edited_at = time_in_batch_2(rng, contact, timeline)
    _merge_some(stream(seed, "salesforce merges"), contacts, timeline)
    return contacts


def _merge_some(rng: Random, contacts: Sequence[Contact], timeline: Timeline) -> None:
    """Merge duplicates into the person's first contact, and delete a few other contacts."""
    pairs = [
        (records[0], duplicate)
        for records in by_person(contacts).values()
        for duplicate in records[1:]
    ]
    for master, duplicate in pick(rng, pairs, 0.4):
        duplicate.merged_into = master.source_id
        duplicate.removed_at = time_in_batch_2(rng, duplicate, timeline)
    paired = {contact.source_id for pair in pairs for contact in pair}
    alone = [contact for contact in contacts if contact.source_id not in paired]
    for contact in pick(rng, alone, 0.01):
        contact.removed_at = time_in_batch_2(rng, contact, timeline)


def contact_row(contact: Contact, at: datetime) -> tuple[datetime, Row] | None:
    """The contact as `Contact.csv` shows it at the instant, with its version; None: not yet."""
    if contact.created_at >= at:
        return None
    changed_at = contact.changed_at(at)
    edited, removed = contact.is_edited(at), contact.is_removed(at)
    phone = contact.next_phone if edited else contact.written.phone
    return changed_at, {
        "Id": contact.source_id,
        "AccountId": contact.account_id,
        "FirstName": contact.written.first,
        "LastName": contact.written.last,
        "Email": contact.written.email or "",
        "Phone": phone or "",
        "MailingCountry": contact.person.country,
        "LeadSource": contact.lead_source,
        "OwnerId": contact.next_owner_id if edited else contact.owner_id,
        "CreatedDate": salesforce_time(contact.created_at),
        "SystemModstamp": salesforce_time(changed_at),
        "IsDeleted": "true" if removed else "false",
        "MasterRecordId": contact.merged_into if removed else "",
    }
