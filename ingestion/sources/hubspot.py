"""HubSpot: its objects as streams. Every property arrives as text and stays text in raw."""

from __future__ import annotations

from ingestion.streams import Column, ColumnType, Stream, columns

_CONTACT_PROPERTIES = (
    "email",
    "firstname",
    "lastname",
    "phone",
    "company",
    "lifecyclestage",
    "createdate",
    "lastmodifieddate",
    "country",
    "hs_merged_object_ids",
)

STREAMS = (
    Stream(
        name="contacts",
        object="contacts",
        key=("id",),
        columns=(
            Column("id", ColumnType.TEXT),
            *(
                Column(f"properties.{name}", ColumnType.TEXT, f"property_{name}")
                for name in _CONTACT_PROPERTIES
            ),
            *columns(ColumnType.TIMESTAMPTZ, "createdAt", "updatedAt", "archivedAt"),
            Column("archived", ColumnType.BOOLEAN),
        ),
        version="updated_at",
        deleted="archived",
        deleted_at="archived_at",
        flatten={"properties": "property_"},
    ),
)
