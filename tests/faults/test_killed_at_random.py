from __future__ import annotations

import itertools
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from fault_loads import at
from fault_points import Child, wait_for_the_dead
from file_sources import write
from landing_records import fetch

from crmhouse.settings import Settings, SourceConfig
from ingestion.sync import sync_source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection as Pipe
    from pathlib import Path
    from random import Random

    from faults import Faults

    from crmhouse.warehouse import Warehouse

KILLS = 26
DELIVERIES = 6
STREAMS = {"things": {"version": "changed"}, "notes": {}}
Record = dict[str, Any]


def records(random: Random) -> list[Record]:
    """One delivery: keys come again with newer and older versions, twice at once, and bad."""
    keys = [random.randrange(200) for _ in range(120)]
    found = [
        {"id": f"k{key}", "changed": at(random.randint(1, 28)), "v": random.randrange(10**9)}
        for key in keys
    ]
    return [*found, {"id": f"bad {random.random()}", "changed": "never"}]


def current(delivered: Iterable[Record], *, by_version: bool) -> list[tuple[str, str]]:
    """The rows that a table must hold after these records: found without the engine."""
    newest: dict[str, Record] = {}
    for record in delivered:
        known = newest.get(record["id"])
        if not (by_version and known and known["changed"] > record["changed"]):
            newest[record["id"]] = record
    return sorted((key, f"{found['changed']} {found['v']}") for key, found in newest.items())


class World:
    """Deliveries of two streams in files, and the source that they are synced as."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.folder = folder
        self.delivered: dict[str, dict[str, list[Record]]] = {name: {} for name in STREAMS}
        for number, stream in itertools.product(range(DELIVERIES), STREAMS):
            name = f"{number}/{stream}.jsonl"
            self.delivered[stream][name] = lines = records(random)
            write(folder, name, "".join(json.dumps(line) + "\n" for line in lines))

    def source(self, name: str) -> SourceConfig:
        streams = {
            stream: {
                "glob": f"*/{stream}.jsonl",
                "key": ["id"],
                "columns": {"changed": "timestamptz"},
                **more,
            }
            for stream, more in STREAMS.items()
        }
        options = {"path": str(self.folder), "streams": streams}
        return SourceConfig(name=name, kind="files", options=options)

    def check(self, warehouse: Warehouse, faults: Faults, name: str) -> set[tuple[str, str]]:
        """Hold the tables against the slices that are said to have landed; return these."""
        of = "where source = %s order by 1, 2"
        landed = fetch(warehouse, f"select stream, slice from ops.stream_state {of}", [name])
        ran = fetch(warehouse, f"select stream, slice, status from ops.sync_runs {of}", [name])
        assert ran == [(*slice_, "succeeded") for slice_ in landed]  # each of them once
        held = fetch(
            warehouse,
            f"select stream, payload::jsonb ->> 'id', times_seen from ops.quarantine {of}",
            [name],
        )
        bad = [(s, self.delivered[s][part][-1]["id"], 1) for s, part in landed]
        assert held == sorted(bad)
        for stream, files in self.delivered.items():
            parts = sorted(part for s, part in landed if s == stream)
            good = [record for part in parts for record in files[part][:-1]]
            expected = current(good, by_version=stream == "things")
            faults.compare(expected, _rows(warehouse, name, stream), f"{name} {parts}")
        return set(landed)


def _rows(warehouse: Warehouse, name: str, stream: str) -> list[tuple[str, str]]:
    table = f"raw_{name}.{stream}"
    if fetch(warehouse, f"select to_regclass('{table}') is null") == [(True,)]:
        return []
    if fetch(warehouse, f"select count(*) from {table}") == [(0,)]:
        return []  # where a first load was killed, `v` is not there either
    time_text = """to_char(changed, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
    rows = fetch(warehouse, f"select id, {time_text}, v from {table} order by 1")
    return [(key, f"{changed} {v}") for key, changed, v in rows]


def sync_all(pipe: Pipe, warehouse: Warehouse, source: SourceConfig) -> None:
    pipe.send("ready")
    settings = Settings(batch_rows=50, max_quarantine_share=1)
    sync_source(warehouse, settings, source, run_id=uuid.uuid4())


@pytest.mark.parametrize("quarter", range(4))
def test_syncs_killed_at_random_moments_go_on_after_the_last_slice_and_converge(
    warehouse: Warehouse, tmp_path: Path, faults: Faults, quarter: int
) -> None:
    random = faults.random(quarter)
    world = World(tmp_path, random)
    everything = {(stream, part) for stream, parts in world.delivered.items() for part in parts}
    kills, moments, lasts = 0, set(), 0.0
    for number in itertools.count():
        name = f"world_{number}"
        landed: set[tuple[str, str]] = set()
        while landed != everything:
            left = 1 - len(landed) / len(everything)
            with Child(sync_all, warehouse, world.source(name)) as child:
                assert child.said() == "ready"
                started = time.monotonic()
                child.ends_within(random.uniform(0, lasts * (left + 0.3)) if lasts else 60)
                child.kill()
                code = child.wait()
                lasts = lasts or time.monotonic() - started
                assert code in {0, -9}, child.said()
            wait_for_the_dead(warehouse)
            before, landed = landed, world.check(warehouse, faults, name)
            assert before <= landed
            assert landed == everything or code == -9
            if code == -9:
                kills += 1
                faults.inject("kill -9")
                moments.add(len(landed))
        if kills >= KILLS:
            break
    assert len(moments) >= 5  # slices that had landed when the process was killed
