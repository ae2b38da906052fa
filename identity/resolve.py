"""The identity step of a run: reads records, decides who is who, writes what changed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from identity.accounts import account_directory, account_evidence
from identity.cluster import cluster
from identity.entity import ACCOUNT, CUSTOMER
from identity.evidence import name_profiles, person_evidence
from identity.history import read_previous, write_ids
from identity.person_keys import person_keys
from identity.records import KEY, read_accounts, read_persons, read_references
from identity.rules import ACCOUNT_RULES, PERSON_RULES, SINGLE
from identity.stable_ids import assign_ids
from identity.store import EDGE_KEY, write_edges, write_links

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from numpy.typing import NDArray

    from crmhouse.warehouse import Warehouse
    from identity.entity import Entity

logger = logging.getLogger(__name__)

_LOCK = 0x6372_6D69  # "crmi": one process at a time decides who is who
_STRENGTH = {rule.name: rank for rank, rule in enumerate((*PERSON_RULES, *ACCOUNT_RULES), 1)}


@dataclass(frozen=True)
class Resolution:
    """What one run of identity found and changed.

    Attributes:
        records: person records there are.
        customers: persons they belong to.
        new_customers: ids made in this run.
        merged_customers: ids that retired into another.
        split_customers: parts that were split off to an id of their own.
        customer_links_changed: rows written to customer_links (new, removed or different).
        customer_edges_changed: rows written to customer_edges.
        account_records: organisation records there are; the other `account` fields likewise.
    """

    records: int
    customers: int
    new_customers: int
    merged_customers: int
    split_customers: int
    customer_links_changed: int
    customer_edges_changed: int
    account_records: int
    accounts: int
    new_accounts: int
    merged_accounts: int
    split_accounts: int
    account_links_changed: int
    account_edges_changed: int


class _Found(NamedTuple):
    """What was decided about one entity: record keys, edges, and the group of each record."""

    entity: Entity
    keys: pd.DataFrame
    edges: pd.DataFrame
    group: NDArray[np.int64]


class _Counts(NamedTuple):
    records: int
    groups: int
    new: int
    merged: int
    split: int
    links_changed: int
    edges_changed: int


def resolve(warehouse: Warehouse, *, run_id: UUID) -> Resolution:
    """Decide which records are the same person or organisation, and write it in one transaction.

    A second call waits for the first to end. With nothing new, no row is touched.

    Raises:
        RunFailedError: dbt has not built the views that identity reads.
        WarehouseError: the server cannot be reached.
    """
    with warehouse.connect() as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        accounts = read_accounts(connection)
        evidence = account_evidence(accounts)
        organisations = cluster(len(accounts), evidence.edges, evidence.profiles)
        found = _Found(ACCOUNT, accounts[KEY], evidence.edges, organisations)
        account_counts = _write(connection, run_id, found)
        directory = account_directory(accounts, evidence, organisations)

        persons = read_persons(connection)
        keys = person_keys(persons, directory)
        edges = person_evidence(persons, read_references(connection), keys, directory)
        group = cluster(len(persons), edges, name_profiles(keys))
        customer_counts = _write(connection, run_id, _Found(CUSTOMER, persons[KEY], edges, group))
    resolution = Resolution(*customer_counts, *account_counts)
    logger.info("resolved identities", extra={"run_id": str(run_id), **asdict(resolution)})
    return resolution


def _write(connection: psycopg.Connection, run_id: UUID, found: _Found) -> _Counts:
    """Give the groups their ids and write all tables of one entity."""
    entity, keys, edges, group = found
    previous = read_previous(connection, entity, keys)
    assignment = assign_ids(group, previous.ids, keys, previous.birth_order, entity.prefix)
    born = write_ids(
        connection,
        entity,
        run_id=run_id,
        assignment=assignment,
        keys=keys,
        birth_order=previous.birth_order,
    )
    left, right = edges["left"].to_numpy(), edges["right"].to_numpy()
    edges = edges.assign(is_used=group[left] == group[right])
    links = pd.concat([keys, _strongest_rules(len(keys), edges)], axis="columns")
    links = links.assign(id=assignment.ids)
    changes = write_links(connection, entity, run_id=run_id, links=links)
    edges[EDGE_KEY[:3]] = keys.iloc[left].to_numpy()
    edges[EDGE_KEY[3:]] = keys.iloc[right].to_numpy()
    edges_changed = write_edges(connection, entity, run_id=run_id, edges=edges)
    return _Counts(
        records=len(keys),
        groups=len(np.unique(group)),
        new=born,
        merged=len(assignment.merges),
        split=len(assignment.splits),
        links_changed=sum(changes),
        edges_changed=edges_changed,
    )


def _strongest_rules(records: int, edges: pd.DataFrame) -> pd.DataFrame:
    """Return match_rule and match_probability per record: of the strongest used edge it has."""
    used = edges[edges["is_used"]]
    # References under a rule of their own come first, beside the ones that are known.
    used = used.assign(strength=used["rule"].map(_STRENGTH).fillna(0))
    ends = pd.concat(
        [used.assign(record=used[side]) for side in ("left", "right")], ignore_index=True
    )
    best = ends.sort_values(["strength", "rule"], kind="stable").drop_duplicates("record")
    best = best.set_index("record")[["rule", "probability"]].reindex(range(records))
    return pd.DataFrame(
        {
            "match_rule": best["rule"].fillna(SINGLE),
            "match_probability": best["probability"].fillna(1.0),
        }
    )
