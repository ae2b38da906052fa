"""A stand-in of HubSpot: its CRM API v3, associations v4 and OAuth, over the records of a folder.

The versions by date (2026-03, 2026-09) answer the same below their own paths.

A folder has `batch_<n>/hubspot/<object>.jsonl`, an object per line as the API shows it: `id`,
`properties`, `createdAt`, `updatedAt`, `archived`, and `archivedAt` where it is known. Besides the
objects of HubSpot there may be

    schemas.jsonl         custom objects: `id` (2-123), `name`, `fullyQualifiedName`; their records
                          are in `<name>.jsonl`
    associations.jsonl    `id` (any text, of one pair), `fromObjectType`, `fromId`, `toObjectType`,
                          `toId`, `types` (`category`, `typeId`, `label`), `reverseTypes` where
                          those of the other direction differ; `archived` takes a pair away
    owners.jsonl          as the API shows them
    pipelines.jsonl       as the API shows them, and `objectType`

A merged record is one whose id is in `hs_merged_object_ids` of another: it is no longer there.
Records are gone for good, without a trace, when their line says `"purged": true`.

Faults beyond the general ones: `token_expired`, `late_rows` (what a later batch has brought is in
the list, but every second record not yet in the search), `duplicate_page` and `short_page` (of
lists and searches), `dropped_row` (a search tells of one more than it shows), `quota_daily`.
"""

from simulators.hubspot.access import (
    CLIENT_ID,
    CLIENT_SECRET,
    CONTACTS_ONLY_TOKEN,
    REFRESH_TOKEN,
    TOKEN,
    Limits,
)
from simulators.hubspot.service import HubSpot

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "CONTACTS_ONLY_TOKEN",
    "REFRESH_TOKEN",
    "TOKEN",
    "HubSpot",
    "Limits",
]
