"""What earlier runs decided, and the record of ids that are born, merge and split."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from identity.entity import copy_in
from identity.records import KEY, read_frame
from identity.stable_ids import current_ids

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg

    from identity.entity import Entity
    from identity.stable_ids import Assignment


class Previous(NamedTuple):
    """What is known from earlier runs.

    Attributes:
        ids: the id each record had, in record order; NA for a record never seen.
        birth_order: every id there ever was -> when it was born, relative to the others.
    """

    ids: pd.Series
    birth_order: dict[str, int]


def read_previous(connection: psycopg.Connection, entity: Entity, keys: pd.DataFrame) -> Previous:
    """Return what is known of these records, and of those of them that were away."""
    columns = [*KEY, "id"]
    select = "select source, source_object, source_id, {id} from "
    links = read_frame(connection, entity.sql(select + "{links}"), columns)
    former = read_frame(connection, entity.sql(select + "{former_links}"), columns)
    former["id"] = current_ids(former["id"], _merges(connection, entity), set(links["id"]))
    known = pd.concat([links, former], ignore_index=True)
    ids = keys.merge(known, on=KEY, how="left", sort=False)["id"]
    born = read_frame(
        connection, entity.sql("select {id}, birth_order from {ids}"), ["id", "birth_order"]
    )
    orders = pd.to_numeric(born["birth_order"]).tolist()
    return Previous(ids, dict(zip(born["id"], orders, strict=True)))


def write_ids(
    connection: psycopg.Connection,
    entity: Entity,
    *,
    run_id: UUID,
    assignment: Assignment,
    keys: pd.DataFrame,
    birth_order: dict[str, int],
) -> int:
    """Record the ids that are born, merge and split; return how many are born.

    An id that comes back, since its founding record stands alone again, is not born twice.
    """
    born = [name for name in assignment.founders if name not in birth_order]
    first = max(birth_order.values(), default=0) + 1
    with connection.cursor() as cursor:
        if born:
            founding = keys.iloc[[assignment.founders[name] for name in born]]
            orders = pd.DataFrame({"id": born, "birth_order": range(first, first + len(born))})
            frame = orders.join(founding.reset_index(drop=True)).assign(run_id=str(run_id))
            target = (
                "{ids} ({id}, birth_order, founding_source, founding_object, founding_id, run_id)"
            )
            copy_in(cursor, entity.sql(target), frame)
        cursor.executemany(
            entity.sql(
                "insert into {merges} (retired_id, surviving_id, run_id) values (%s, %s, %s) "
                "on conflict do nothing"
            ),
            [(*merge, run_id) for merge in assignment.merges],
        )
        cursor.executemany(
            entity.sql(
                "insert into {splits} ({id}, split_off_id, records, run_id) "
                "values (%s, %s, %s, %s) on conflict do nothing"
            ),
            [(*split, run_id) for split in assignment.splits],
        )
    return len(born)


def _merges(connection: psycopg.Connection, entity: Entity) -> dict[str, str]:
    """Return the survivor of the latest merge of every id that ever retired."""
    query = entity.sql(
        "select distinct on (retired_id) retired_id, surviving_id from {merges} "
        "order by retired_id, merged_at desc, surviving_id"
    )
    merges = read_frame(connection, query, ["retired", "surviving"])
    return dict(zip(merges["retired"], merges["surviving"], strict=True))
