"""The server of the stand-ins, with a system that is nothing but its records."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from stand_in import standing_in
from starlette.responses import JSONResponse
from starlette.routing import Route

from crmhouse.errors import ConfigurationError
from simulators.server import simulator
from simulators.store import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stand_in import StandIn
    from starlette.requests import Request
    from starlette.responses import Response

    from simulators.faults import Fault, Faults
    from simulators.store import Store, Stored


class Notes:
    shape = Shape("id", "made", "changed", "gone")
    passing = ("forgets", "never shown")

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store, self.faults = store, faults
        self.heard: list[tuple[str, int | None, int]] = []

    def routes(self) -> list[Any]:
        return [Route("/things", self.things), Route("/things/{id}", self.things)]

    def things(self, request: Request) -> Response:
        if self.faults.take("notes", request.url.path, "forgets"):
            return JSONResponse([])
        since = int(request.query_params.get("since", "0"))
        found = self.store.select("notes", "things", "modified >= ?", [since], order="modified, id")
        return JSONResponse([{"id": record.id, **record.body} for record in found])

    def error(self, fault: Fault) -> Response:
        after = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        return JSONResponse({"code": fault.code}, fault.status, after)

    def changed(self, object_: str, before: Stored | None, after: Stored) -> None:
        self.heard.append((object_, before.modified if before else None, after.modified))


def thing(id_: int, changed: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "made": "2026-01-01T00:00:00Z", "changed": changed, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    things = {
        "batch_1": [thing(n, f"2026-01-0{n}T00:00:00Z") for n in (3, 1, 2)],
        "batch_2": [thing(2, "2026-02-01T00:00:00+01:00", gone=True), thing(4, "2026-02-02")],
    }
    for batch, rows in things.items():
        path = tmp_path / "data" / batch / "notes" / "things.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (tmp_path / "data/batch_1/notes/Flat.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "made", "gone"], ["a", "2026-01-01T00:00:00Z", "true"]])
    return tmp_path / "data"


@pytest.fixture
def notes(folder: Path, tmp_path: Path) -> Iterator[StandIn]:
    with standing_in(folder, tmp_path, {"notes": Notes}) as running:
        yield running


def ids(notes: StandIn, path: str = "things") -> list[str]:
    return [row["id"] for row in httpx.get(f"{notes.url}/notes/{path}").raise_for_status().json()]


def test_a_batch_is_laid_over_the_one_before_when_it_is_told_to(notes: StandIn) -> None:
    assert ids(notes) == [1, 2, 3]
    notes.advance()
    assert ids(notes) == [1, 3, 2, 4]
    assert ids(notes, "things?since=1769900000000") == [2, 4]
    store = notes.simulator.store
    assert [record.deleted for record in store.select("notes", "things", order="id")] == [
        False,
        True,
        False,
        False,
    ]
    assert store.select("notes", "Flat")[0].deleted
    again = httpx.post(f"{notes.url}/_simulator/advance")
    assert (again.status_code, again.json()) == (409, {"error": "there is no further batch"})


def test_a_system_hears_what_a_later_batch_brings(notes: StandIn) -> None:
    system: Any = notes.simulator.systems["notes"]
    assert system.heard == []
    notes.advance()
    assert system.heard == [
        ("things", 1767312000000, 1769900400000),
        ("things", None, 1769990400000),
    ]


def test_faults_are_shown_as_often_as_asked_and_where(notes: StandIn) -> None:
    notes.fault("status", path="things/1", status=429, retry_after=3, code="slow", times=1)
    assert ids(notes) == [1, 2, 3]
    slow = httpx.get(f"{notes.url}/notes/things/1")
    assert (slow.status_code, slow.headers["Retry-After"], slow.json()) == (
        429,
        "3.0",
        {"code": "slow"},
    )
    assert ids(notes, "things/1") == [1, 2, 3]
    assert httpx.get(f"{notes.url}/_simulator/state").json()["faults_shown"] == {
        "429 with Retry-After": 1
    }


def test_a_share_of_all_answers_fails(notes: StandIn) -> None:
    notes.fault("status", share=0.3)
    failed = sum(httpx.get(f"{notes.url}/notes/things").is_error for _ in range(60))
    assert 5 < failed < 35
    notes.heal()
    assert ids(notes) == [1, 2, 3]


def test_an_answer_ends_early_or_its_connection_does(notes: StandIn) -> None:
    whole = httpx.get(f"{notes.url}/notes/things").content
    notes.fault("truncate", times=1)
    assert httpx.get(f"{notes.url}/notes/things").content == whole[: len(whole) // 2]
    notes.fault("reset", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{notes.url}/notes/things")
    notes.fault("timeout", times=1, seconds=0.5)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{notes.url}/notes/things", timeout=0.2)
    assert ids(notes) == [1, 2, 3]


def test_any_fault_hits_a_share_of_all_requests_in_an_order_that_the_seed_gives(
    notes: StandIn,
) -> None:
    def seen() -> list[str]:
        notes.heal()
        notes.simulator.faults.shown.clear()
        notes.fault("any", share=0.2, seed=3, seconds=0.01)
        with httpx.Client() as client:
            return [outcome(client, f"{notes.url}/notes/things") for _ in range(200)]

    first = seen()
    shown = notes.simulator.faults.shown
    assert 20 < shown.total() < 60
    assert shown.keys() == {
        "429", "429 with Retry-After", "500", "502", "503", "timeout", "reset", "truncate",
        "forgets",
    }  # fmt: skip
    assert first.count("whole") == 200 - shown.total() + shown["timeout"]
    assert first.count("empty") == shown["forgets"]
    assert seen() == first


def outcome(client: httpx.Client, url: str) -> str:
    try:
        answer = client.get(url)
        rows = answer.json()
    except (httpx.RemoteProtocolError, json.JSONDecodeError):
        return "cut"
    if answer.is_error:
        return str(answer.status_code)
    return "whole" if len(rows) == 3 else "empty"


def test_requests_are_counted_without_the_ids_in_them(notes: StandIn) -> None:
    for path in ("things", "things/123456", "things/00Q5g000001234", "things"):
        ids(notes, path)
    assert notes.requests() == {"GET /notes/things": 2, "GET /notes/things/*": 2}
    assert notes.requests() == {}


def test_a_misspelt_fault_is_refused(notes: StandIn) -> None:
    answer = httpx.post(f"{notes.url}/_simulator/faults", json={"kind": "status", "shares": 1})
    assert answer.status_code == 422


def test_a_folder_without_batches_is_no_folder_of_batches(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no folder batch_1"):
        simulator(tmp_path, tmp_path / "db", {"notes": Notes})
