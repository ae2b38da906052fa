"""Writes links and edges, touching only the rows that differ from what is decided now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from identity.entity import copy_in
from identity.records import KEY

if TYPE_CHECKING:
    from uuid import UUID

    import pandas as pd
    import psycopg

    from identity.entity import Entity

EDGE_KEY = [f"{side}_{part}" for side in ("left", "right") for part in ("source", "object", "id")]

_NEW_LINKS = """
    create temporary table {new_links} (
        source text, source_object text, source_id text, {id} text, match_rule text,
        match_probability numeric
    ) on commit drop
"""
_RECORD_MOVES = """
    insert into {moves} (source, source_object, source_id, {from_id}, {to_id}, run_id)
    select source, source_object, source_id, old.{id}, new.{id}, %(run_id)s
    from {links} as old
    inner join {new_links} as new using (source, source_object, source_id)
    where old.{id} <> new.{id}
    on conflict (source, source_object, source_id, run_id)
    do update set {to_id} = excluded.{to_id}, moved_at = now()
"""
_REMOVE_LINKS = """
    with removed as (
        delete from {links} as old
        where not exists (
            select 1 from {new_links} as new
            where new.source = old.source and new.source_object = old.source_object
                and new.source_id = old.source_id
        )
        returning source, source_object, source_id, {id}
    )
    insert into {former_links} (source, source_object, source_id, {id}, run_id)
    select removed.*, %(run_id)s from removed
"""
_FORGET_FORMER_LINKS = """
    delete from {former_links} as former
    using {new_links} as new
    where new.source = former.source and new.source_object = former.source_object
        and new.source_id = former.source_id
"""
_UPDATE_LINKS = """
    update {links} as old
    set {id} = new.{id},
        match_rule = new.match_rule,
        match_probability = new.match_probability,
        run_id = case when old.{id} = new.{id} then old.run_id else %(run_id)s end,
        linked_at = case when old.{id} = new.{id} then old.linked_at else now() end
    from {new_links} as new
    where new.source = old.source and new.source_object = old.source_object
        and new.source_id = old.source_id
        and (old.{id}, old.match_rule, old.match_probability)
            is distinct from (new.{id}, new.match_rule, new.match_probability)
"""
_INSERT_LINKS = """
    insert into {links}
        (source, source_object, source_id, {id}, match_rule, match_probability, run_id)
    select new.source, new.source_object, new.source_id, new.{id}, new.match_rule,
        new.match_probability, %(run_id)s
    from {new_links} as new
    where not exists (
        select 1 from {links} as old
        where new.source = old.source and new.source_object = old.source_object
            and new.source_id = old.source_id
    )
"""

_SAME_EDGE = """
        new.left_source = old.left_source and new.left_object = old.left_object
        and new.left_id = old.left_id and new.right_source = old.right_source
        and new.right_object = old.right_object and new.right_id = old.right_id
        and new.rule = old.rule
"""
_NEW_EDGES = """
    create temporary table {new_edges} (
        left_source text, left_object text, left_id text,
        right_source text, right_object text, right_id text,
        rule text, probability numeric, is_used boolean
    ) on commit drop
"""
_REMOVE_EDGES = """
    delete from {edges} as old
    where not exists (select 1 from {new_edges} as new where {same})
"""
_UPDATE_EDGES = """
    update {edges} as old
    set probability = new.probability, is_used = new.is_used
    from {new_edges} as new
    where {same}
        and (old.probability, old.is_used) is distinct from (new.probability, new.is_used)
"""
_INSERT_EDGES = """
    insert into {edges} (
        left_source, left_object, left_id, right_source, right_object, right_id,
        rule, probability, is_used, run_id
    )
    select new.*, %(run_id)s from {new_edges} as new
    where not exists (select 1 from {edges} as old where {same})
"""


class LinkChanges(NamedTuple):
    """Rows of links that were written: of records that arrived, left, or changed."""

    inserted: int
    removed: int
    updated: int


def write_links(
    connection: psycopg.Connection, entity: Entity, *, run_id: UUID, links: pd.DataFrame
) -> LinkChanges:
    """Make the links of an entity equal to `links`; moved and vanished records are remembered.

    Args:
        connection: in the transaction of the run.
        entity: whose links.
        run_id: of this run.
        links: the key, id, match_rule, match_probability; one row per record of today.
    """
    run = {"run_id": run_id}
    with connection.cursor() as cursor:
        cursor.execute(entity.sql(_NEW_LINKS))
        columns = [*KEY, "id", "match_rule", "match_probability"]
        copy_in(cursor, entity.sql("{new_links}"), links[columns])
        cursor.execute(entity.sql("analyze {new_links}"))
        cursor.execute(entity.sql(_RECORD_MOVES), run)
        removed = cursor.execute(entity.sql(_REMOVE_LINKS), run).rowcount
        cursor.execute(entity.sql(_FORGET_FORMER_LINKS))
        updated = cursor.execute(entity.sql(_UPDATE_LINKS), run).rowcount
        inserted = cursor.execute(entity.sql(_INSERT_LINKS), run).rowcount
    return LinkChanges(inserted, removed, updated)


def write_edges(
    connection: psycopg.Connection, entity: Entity, *, run_id: UUID, edges: pd.DataFrame
) -> int:
    """Make the edges of an entity equal to `edges`; return the number of rows written.

    Args:
        connection: in the transaction of the run.
        entity: whose edges.
        run_id: of this run.
        edges: the keys of both records as in `EDGE_KEY`, rule, probability, is_used.
    """
    with connection.cursor() as cursor:
        cursor.execute(entity.sql(_NEW_EDGES))
        columns = [*EDGE_KEY, "rule", "probability", "is_used"]
        copy_in(cursor, entity.sql("{new_edges}"), edges[columns])
        cursor.execute(entity.sql("analyze {new_edges}"))
        changed = cursor.execute(entity.sql(_REMOVE_EDGES, same=_SAME_EDGE)).rowcount
        changed += cursor.execute(entity.sql(_UPDATE_EDGES, same=_SAME_EDGE)).rowcount
        insert = entity.sql(_INSERT_EDGES, same=_SAME_EDGE)
        return changed + cursor.execute(insert, {"run_id": run_id}).rowcount
