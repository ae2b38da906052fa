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


def object_stream(name: str, properties: tuple[str, ...] = ()) -> Stream:
    """Declare the stream of a type of objects.

    Args:
        name: of the type, as the API has it in paths.
        properties: those whose columns are there whether or not the account has them.
    """
    return Stream(
        name=name,
        object=name,
        key=("id",),
        columns=(
            Column("id", ColumnType.TEXT),
            *(
                Column(f"properties.{one}", ColumnType.TEXT, f"property_{one}")
                for one in properties
            ),
            *columns(ColumnType.TIMESTAMPTZ, "createdAt", "updatedAt", "archivedAt"),
            Column("archived", ColumnType.BOOLEAN),
        ),
        version="updated_at",
        deleted="archived",
        deleted_at="archived_at",
        flatten={"properties": "property_"},
    )


CONTACTS = object_stream("contacts", _CONTACT_PROPERTIES)

STREAMS = (CONTACTS,)

OBJECTS = (
    "contacts", "companies", "deals", "tickets", "products", "line_items", "calls", "emails",
    "meetings", "notes", "tasks",
)  # fmt: skip
"""The standard types of objects."""

OWNERS = Stream(
    name="owners",
    object="owners",
    key=("id",),
    columns=(
        *columns(ColumnType.TEXT, "id", "email", "firstName", "lastName"),
        *columns(ColumnType.TIMESTAMPTZ, "createdAt", "updatedAt"),
        Column("archived", ColumnType.BOOLEAN),
    ),
    cursor=("updated_at",),
    deleted="archived",
    snapshot=True,
)

PIPELINES = Stream(
    name="pipelines",
    object="pipelines",
    key=("object_type", "id"),
    columns=(
        *columns(ColumnType.TEXT, "objectType", "id", "label"),
        Column("displayOrder", ColumnType.BIGINT),
        Column("stages", ColumnType.JSONB),
        *columns(ColumnType.TIMESTAMPTZ, "createdAt", "updatedAt"),
        Column("archived", ColumnType.BOOLEAN),
    ),
    cursor=("updated_at",),
    deleted="archived",
    snapshot=True,
)


MORE = (*(object_stream(name) for name in OBJECTS[1:]), OWNERS, PIPELINES)
"""What an export may have besides; associations are in none."""


def edge_stream(pair: str) -> Stream:
    """Declare the stream of the associations of a pair of types: a row for each label of each.

    Args:
        pair: `contacts/companies`; the stream is then called `contact_company`.
    """
    return Stream(
        name="_".join(map(_singular, pair.split("/"))),
        object=pair,
        key=("from_id", "to_id", "category", "type_id"),
        columns=(
            *columns(ColumnType.TEXT, "fromId", "toId", "category"),
            Column("typeId", ColumnType.BIGINT),
            Column("label", ColumnType.TEXT),
        ),
    )


def of_object(name: str) -> Stream:
    """Return the stream of a type of objects."""
    return CONTACTS if name == CONTACTS.name else object_stream(name)


def cursor_of(object_: str) -> str:
    """Return the property that has the time of an object's last change."""
    return "lastmodifieddate" if object_ == CONTACTS.name else "hs_lastmodifieddate"


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name.removesuffix('ies')}y"
    return name.removesuffix("s")
