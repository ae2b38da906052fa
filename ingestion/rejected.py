"""Rejected: the records of a slice that cannot land, in a temporary table of the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from ingestion.batches import PayloadKind, Reject

REJECTED = sql.Identifier("pg_temp", "rejected")

_REASONS_SHOWN = 5


class Rejected(NamedTuple):
    """A row of the table: the record, what its payload is, and its id where it is held already."""

    reject: Reject
    kind: PayloadKind
    held: int | None


def unreadable(reject: Reject) -> Rejected:
    """Return the row of a record that could not be read."""
    return Rejected(reject, "unreadable", None)


def create_rejected(connection: Connection) -> None:
    """Create the table; it vanishes with the connection."""
    connection.execute(
        "create temporary table if not exists rejected (record_key text, reason text, "
        "detail text, payload text, payload_kind text, quarantine_id bigint)"
    )


def copy_rejected(connection: Connection, rejects: Sequence[Rejected]) -> None:
    """Put records into the table."""
    with (
        connection.cursor() as cursor,
        cursor.copy(sql.SQL("copy {} from stdin").format(REJECTED)) as copy,
    ):
        for reject, kind, held in rejects:
            copy.write_row((*map(_storable, reject), kind, held))


def reasons(connection: Connection) -> str:
    """Say why records were rejected, the most frequent reasons first; never with a value."""
    counted = connection.execute(
        sql.SQL(
            "select reason, detail, count(*) from {} group by 1, 2 order by 3 desc, 1, 2"
        ).format(REJECTED)
    ).fetchall()
    shown = [f"{count} x {why}, {detail}" for why, detail, count in counted[:_REASONS_SHOWN]]
    if len(counted) > _REASONS_SHOWN:
        shown.append(f"and {len(counted) - _REASONS_SHOWN} more kinds")
    return "; ".join(shown)


def _storable(text: str | None) -> str | None:
    """Escape what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()
