"""Publishes the candidate marts: what passed the gate moves to the schema `marts` at once.

One transaction writes only what differs, so a reader sees all marts as they were or all as they
are, views of others stay, and a mart that did not change is not touched. Rows are compared by
their binary image, as `refresh materialized view concurrently` does.

A changed contract changes the published table in place: grants, policies and views that hang on
it stay. What somebody's view still needs is not taken away: the publication is refused.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from crmhouse.contracts import PUBLISHED_SCHEMA, Contract, adapt, create, finish, read_contracts
from crmhouse.errors import PublishRefusedError, RunFailedError
from crmhouse.transform import CANDIDATE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from psycopg import Connection

    from crmhouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

_PUBLISH_LOCK = 0x6D617274  # "mart"
_LOCK_TIMEOUT = "60s"


@dataclass(frozen=True)
class Published:
    """What the publication changed in one mart. Counts are rows.

    Attributes:
        contract: `created`, `changed`, `dropped` or `unchanged`: what happened to the table.
    """

    table: str
    inserted: int
    updated: int
    deleted: int
    contract: str = "unchanged"

    @property
    def changed(self) -> bool:
        """Say whether anything of this mart changed."""
        return bool(self.inserted or self.updated or self.deleted or self.contract != "unchanged")


def publish(warehouse: Warehouse, *, run_id: UUID | None = None) -> tuple[Published, ...]:
    """Make the marts equal to their candidates, in one transaction.

    Args:
        warehouse: the open warehouse.
        run_id: the run that built the candidates; it must still be the running one. Left out for
            a publication outside any run.

    Returns:
        Every mart, by name, with what changed in it.

    Raises:
        PublishRefusedError: a view or policy needs what would go, a table in `marts` is not ours,
            a candidate has no primary key, or a reader held a table for too long.
        RunFailedError: there is no candidate, or another run has taken over.
    """
    try:
        with warehouse.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(%s)", [_PUBLISH_LOCK])
            connection.execute(
                sql.SQL("set local lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT))
            )
            if run_id is not None:
                _require_running(connection, run_id)
            result = _publish(connection)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise PublishRefusedError(
            f"The marts were not published: {error.diag.message_primary}. "
            f"{error.diag.message_detail or ''} Change or drop what depends on it, then run again."
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise PublishRefusedError(
            f"The marts were not published: somebody's query or transaction held a mart whose "
            f"columns change for more than {_LOCK_TIMEOUT}. Run again when it has ended."
        ) from None
    logger.info("published %d marts, %d changed", len(result), sum(mart.changed for mart in result))
    return result


def _publish(connection: Connection) -> tuple[Published, ...]:
    candidates = read_contracts(connection, CANDIDATE_SCHEMA)
    published = read_contracts(connection, PUBLISHED_SCHEMA)
    rows = connection.execute("select mart from ops.published_marts").fetchall()
    ours = {str(name) for (name,) in rows}
    _require_sound(candidates, published, ours)
    # A table whose columns change is closed to readers until the commit: these come last.
    order = sorted(candidates, key=lambda name: (_altered(candidates, published, name), name))
    result = [_publish_mart(connection, candidates[name], published.get(name)) for name in order]
    for name in sorted(ours - set(candidates)):
        if name in published:
            result.append(_drop(connection, name))
        connection.execute("delete from ops.published_marts where mart = %s", [name])
    return tuple(sorted(result, key=lambda mart: mart.table))


def _altered(
    candidates: Mapping[str, Contract], published: Mapping[str, Contract], name: str
) -> bool:
    return name in published and not published[name].same_shape(candidates[name])


def _publish_mart(
    connection: Connection, candidate: Contract, published: Contract | None
) -> Published:
    """Bring one mart up to date: its columns, its rows, then what holds over its rows."""
    source = sql.Identifier(CANDIDATE_SCHEMA, candidate.table)
    target = sql.Identifier(PUBLISHED_SCHEMA, candidate.table)
    unmatched = 0
    if published is None:
        create(connection, source, target)
        contract = "created"
    else:
        contract = "unchanged" if published.same_shape(candidate) else "changed"
        unmatched = adapt(connection, target, published, candidate)
    deleted, updated = _delete_differing(connection, source, target, candidate)
    inserted = _insert_missing(connection, source, target, candidate) - updated
    finish(connection, target, published, candidate)
    mart = Published(candidate.table, inserted, updated, deleted + unmatched, contract)
    if mart.changed:
        connection.execute(sql.SQL("analyze {}").format(target))
        _remember(connection, candidate.table, target)
    return mart


def _delete_differing(
    connection: Connection, source: sql.Identifier, target: sql.Identifier, contract: Contract
) -> tuple[int, int]:
    """Delete rows that are not in the candidate as they are; return (gone, changed)."""
    row = connection.execute(
        sql.SQL(
            """
            with removed as (
                delete from {target} as old
                where not exists (
                    select from {source} as new
                    where {same_key}
                        and row({new})::record operator(pg_catalog.*=) row({old})::record
                )
                returning {old_key}
            )
            select count(*), count(*) filter (
                where exists (select from {source} as new where {same_key})
            )
            from removed as old
            """
        ).format(
            target=target,
            source=source,
            same_key=contract.same_key("old", "new"),
            old_key=contract.list_key("old"),
            new=contract.list_columns("new"),
            old=contract.list_columns("old"),
        )
    ).fetchone()
    removed, changed = row or (0, 0)
    return removed - changed, changed


def _insert_missing(
    connection: Connection, source: sql.Identifier, target: sql.Identifier, contract: Contract
) -> int:
    return connection.execute(
        sql.SQL(
            """
            insert into {target} ({names})
            select {new}
            from {source} as new
            where not exists (select from {target} as old where {same_key})
            """
        ).format(
            target=target,
            source=source,
            names=contract.list_columns(),
            new=contract.list_columns("new"),
            same_key=contract.same_key("old", "new"),
        )
    ).rowcount


def _drop(connection: Connection, name: str) -> Published:
    target = sql.Identifier(PUBLISHED_SCHEMA, name)
    row = connection.execute(sql.SQL("select count(*) from {}").format(target)).fetchone()
    connection.execute(sql.SQL("drop table {}").format(target))
    return Published(name, 0, 0, row[0] if row else 0, "dropped")


def _remember(connection: Connection, name: str, target: sql.Identifier) -> None:
    connection.execute(
        sql.SQL(
            """
            insert into ops.published_marts (mart, row_count, first_published_at, last_changed_at)
            select %s, count(*), now(), now() from {}
            on conflict (mart) do update set
                row_count = excluded.row_count, last_changed_at = excluded.last_changed_at
            """
        ).format(target),
        [name],
    )


def _require_sound(
    candidates: Mapping[str, Contract], published: Mapping[str, Contract], ours: set[str]
) -> None:
    if not candidates:
        raise RunFailedError(
            f"There is nothing to publish: the schema {CANDIDATE_SCHEMA} holds no table. "
            "The marts are unchanged."
        )
    for name, contract in candidates.items():
        if not contract.key:
            raise PublishRefusedError(
                f"{CANDIDATE_SCHEMA}.{name} has no primary key, so it cannot be compared with what "
                "is published. Declare one in the model's contract. The marts are unchanged."
            )
    if strangers := sorted((set(candidates) & set(published)) - ours):
        raise PublishRefusedError(
            f"{PUBLISHED_SCHEMA}.{strangers[0]} exists and was not published by crmhouse. "
            "Move it to another schema, then run again. The marts are unchanged."
        )


def _require_running(connection: Connection, run_id: UUID) -> None:
    """Refuse a run that was declared dead in the meantime: another may be building now."""
    row = connection.execute(
        "select status from ops.pipeline_runs where run_id = %s for update", [run_id]
    ).fetchone()
    if row is None or row[0] != "running":
        raise RunFailedError(
            f"Run {run_id} is not the running one any more (its connection to the warehouse was "
            "lost and another run took over). The marts are unchanged."
        )
