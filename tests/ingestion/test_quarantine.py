from __future__ import annotations

import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from file_sources import export, files, sync, write
from landing_records import fetch, parquet

from crmhouse.errors import ConfigurationError
from crmhouse.rules import RowRule
from crmhouse.settings import Settings, SourceConfig
from ingestion.landing import land_slice
from ingestion.locks import hold_sources
from ingestion.quarantine import (
    Selection,
    count_records,
    discard_records,
    list_records,
    require_targets,
    show_records,
)
from ingestion.readers.json_lines import batch_of
from ingestion.replay import Replayed, replay_records
from ingestion.slices import Slice
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

    Configured = tuple[Settings, SourceConfig]

ORDER = '{{"id": {}, "updated_at": "2026-01-0{}T00:00:00Z", "total_price": "{}", "note": "{}"}}\n'
LINE = (
    '{"id": "a", "v": "too long", "big": 12345678901234567890.12345678901234567890, '
    '"when": "2026-01-01T01:00:00+01:00", "flag": true, "deep": {"x": [0.10, "7"]}, '
    '"word": "5"}'
)
SMALL = RowRule("v_is_small", "length(v) > 5", "v has at most five letters")
HELD = (
    "select record_key, reason, resolution, times_seen, slice from ops.quarantine "
    "order by quarantine_id"
)


def lenient(configured: Configured) -> Configured:
    """The same with any share of bad records."""
    settings, source = configured
    return settings.model_copy(update={"max_quarantine_share": 1.0}), source


def replay(
    warehouse: Warehouse,
    configured: Configured,
    *ids: int,
    rules: tuple[RowRule, ...] = (),
    **selection: Any,
) -> Replayed:
    """Replay the records of one stream; tell what became of them."""
    result = replay_records(
        warehouse,
        configured[0],
        Selection(ids=ids, **selection),
        run_id=uuid.uuid4(),
        rules=lambda _system, _stream: list(rules),
    )
    assert result.errors == {}
    (stream,) = result.streams
    return stream


def hold(warehouse: Warehouse, configured: Configured, rule: RowRule = SMALL) -> None:
    """Sync with a rule that is taken back later."""
    sync(warehouse, configured, rules=lambda _system, _stream: [rule])


def things(warehouse: Warehouse, columns: str = "id, v") -> list[tuple[Any, ...]]:
    return fetch(warehouse, f"select {columns} from raw_lists.things order by id")


def test_records_that_fit_now_land_with_their_values_and_are_resolved(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.csv", 'id,v,n\n1,short,1\n2,too long,""\n3,"a ""b""\nc",007\n')
    configured = lenient(files(tmp_path, columns={"n": "numeric"}))
    hold(warehouse, configured)
    assert things(warehouse) == [("1", "short")]
    assert replay(warehouse, configured) == Replayed("lists", "things", replayed=2)
    assert things(warehouse, "id, v, n") == [
        ("1", "short", 1), ("2", "too long", None), ("3", 'a "b"\nc', 7),
    ]  # fmt: skip
    assert fetch(warehouse, HELD) == [
        ("2", "v_is_small", "replayed", 1, "1.csv"),
        ("3", "v_is_small", "replayed", 1, "1.csv"),
    ]
    same_time = (
        "select count(distinct resolved_at), bool_and(resolved_at = _loaded_at) "
        "from ops.quarantine inner join raw_lists.things on id = record_key"
    )
    assert fetch(warehouse, same_time) == [(1, True)]
    assert fetch(
        warehouse,
        "select slice, status, rows_extracted, rows_inserted from ops.sync_runs "
        "order by started_at",
    ) == [("1.csv", "succeeded", 3, 1), ("replay", "succeeded", 2, 2)]


def test_records_that_still_do_not_fit_stay_held_once_and_the_reason_is_that_of_today(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.csv", "id,v,n\n1,too long,x\n2,a,y\n3,a,3\n")
    strict = lenient(files(tmp_path, columns={"n": "numeric"}))
    sync(warehouse, strict)
    seen = "select quarantine_id, slice, arrived_at, first_seen_at from ops.quarantine order by 1"
    before = fetch(warehouse, seen)
    for times in (2, 3):
        outcome = replay(warehouse, strict)
        assert (outcome.still_held, outcome.is_complete) == (2, False)
        assert {row[3] for row in fetch(warehouse, HELD)} == {times}
    assert fetch(warehouse, seen) == before
    assert fetch(warehouse, "select bool_and(last_seen_at > arrived_at) from ops.quarantine") == [
        (True,)
    ]
    with warehouse.connect() as connection:
        connection.execute("alter table raw_lists.things alter column n type text")
    loose = lenient(files(tmp_path, columns={"n": "text"}))
    outcome = replay(warehouse, loose, rules=(SMALL,))
    assert (outcome.replayed, outcome.still_held) == (1, 1)
    assert [row[:3] for row in fetch(warehouse, HELD)] == [
        ("1", "v_is_small", None), ("2", "value_does_not_fit", "replayed"),
    ]  # fmt: skip
    assert things(warehouse, "id, n") == [("2", "y"), ("3", "3")]
    assert replay(warehouse, loose).replayed == 1
    assert things(warehouse, "id, n")[0] == ("1", "x")


def test_a_held_record_never_replaces_a_newer_version(warehouse: Warehouse, tmp_path: Path) -> None:
    rule = RowRule("note_is_short", "length(note) > 5", "the note is short")
    lines = [ORDER.format(1, 2, "5.00", "too long"), ORDER.format(2, 2, "5.00", "too long")]
    write(tmp_path, "batch_1/shopify/orders.jsonl", "".join(lines) + ORDER.format(3, 1, 1, ""))
    configured = export(tmp_path, "shopify")
    hold(warehouse, configured, rule)
    with warehouse.connect() as connection:  # as if nobody had noticed that they are repaired
        connection.execute("update ops.quarantine set record_key = null")
    write(
        tmp_path,
        "batch_2/shopify/orders.jsonl",
        ORDER.format(1, 3, "6.00", "newer") + ORDER.format(2, 1, "4.00", "older"),
    )
    sync(warehouse, configured)
    outcome = replay(warehouse, configured)
    assert (outcome.replayed, outcome.superseded) == (1, 1)
    assert fetch(warehouse, "select id, note from raw_shopify.orders order by id") == [
        (1, "newer"), (2, "too long"), (3, ""),
    ]  # fmt: skip
    assert [row[2] for row in fetch(warehouse, HELD)] == ["superseded", "replayed"]


def test_of_equal_versions_the_one_that_arrived_last_stays(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    stream = {"version": "changed", "glob": "*.csv"}
    for number, value in ((1, "too long"), (2, "last")):
        write(tmp_path, f"{number}.csv", f"id,v,changed\n1,{value},2026-01-01T00:00:00Z\n")
    configured = lenient(files(tmp_path, **stream))
    hold(warehouse, configured)
    with warehouse.connect() as connection:
        connection.execute("update ops.quarantine set resolved_at = null, resolution = null")
    assert replay(warehouse, configured).superseded == 1
    assert things(warehouse) == [("1", "last")]


def test_without_versions_a_held_record_never_replaces_what_arrived_after_it(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path, columns={"id": "bigint"}))
    write(tmp_path, "1.csv", "id,v\n1,old\n")
    write(tmp_path, "2.csv", "id,v\n01,too long\n")
    write(tmp_path, "3.csv", "id,v\n1,new\n")
    hold(warehouse, configured)
    assert [row[2] for row in fetch(warehouse, HELD)] == ["superseded"]
    with warehouse.connect() as connection:  # as if the key had been spelt in another way
        connection.execute("update ops.quarantine set resolved_at = null, resolution = null")
    for _ in range(2):  # a replay that fails does not make the record younger
        assert replay(warehouse, configured, rules=(SMALL,)).still_held == 1
    assert replay(warehouse, configured).superseded == 1
    assert things(warehouse) == [(1, "new")]


def test_a_held_record_of_a_row_that_was_found_missing_since_does_not_bring_it_back(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path, version="changed"))
    write(tmp_path, "1.csv", "id,v,changed\n1,a,2026-01-01\n2,a,2026-01-01\n")
    write(tmp_path, "2.csv", "id,v,changed\n1,too long,2026-01-02\n2,too long,2026-01-02\n")
    hold(warehouse, configured)
    (stream,) = connector(*configured).streams()
    keys = Slice("keys", lambda: iter([batch_of([b'{"id": "2"}'], {})]), dict, holds="keys")
    keyed = replace(stream, version_optional=True)
    land_slice(warehouse, "lists", keyed, keys, run_id=uuid.uuid4(), max_quarantine_share=1)
    assert [row[2] for row in fetch(warehouse, HELD)] == ["superseded", None]
    with warehouse.connect() as connection:
        connection.execute("update ops.quarantine set resolved_at = null, resolution = null")
    outcome = replay(warehouse, configured)
    assert (outcome.replayed, outcome.superseded) == (1, 1)
    assert things(warehouse, "id, v, _deleted_at is null") == [
        ("1", "a", False), ("2", "too long", True),
    ]  # fmt: skip


def test_the_keys_of_all_records_are_no_repaired_records(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,a\n2,too long\n")
    hold(warehouse, configured)
    (stream,) = connector(*configured).streams()
    lines = [b'{"id": "1"}', b'{"id": "2"}']
    keys = Slice("keys", lambda: iter([batch_of(lines, {})]), dict, holds="keys")
    land_slice(warehouse, "lists", stream, keys, run_id=uuid.uuid4(), max_quarantine_share=1)
    assert [row[2] for row in fetch(warehouse, HELD)] == [None]
    assert replay(warehouse, configured).replayed == 1


def test_a_good_record_that_changes_nothing_resolves_the_held_one_of_its_key(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    for number, value in ((1, "same"), (2, "too long"), (3, "same")):
        write(tmp_path, f"{number}.csv", f"id,v\n1,{value}\n")
    hold(warehouse, configured)
    assert [row[2] for row in fetch(warehouse, HELD)] == ["superseded"]


def test_without_versions_a_held_record_replaces_what_arrived_before_it(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,old\n")
    write(tmp_path, "2.csv", "id,v\n1,too long\n")
    hold(warehouse, configured)
    assert replay(warehouse, configured).replayed == 1
    assert things(warehouse) == [("1", "too long")]


@pytest.mark.parametrize("order", [(), (1, 2), (2, 1)])
def test_of_several_held_records_of_one_key_the_one_that_arrived_last_is_current_at_the_end(
    warehouse: Warehouse, tmp_path: Path, order: tuple[int, ...]
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,too long\n")
    write(tmp_path, "2.csv", "id,v\n1,longer than that\n")
    hold(warehouse, configured)
    for record_id in order:
        replay(warehouse, configured, record_id)
    if not order:
        assert replay(warehouse, configured).replayed == 2
    assert things(warehouse) == [("1", "longer than that")]
    assert all(row[2] for row in fetch(warehouse, HELD))


def test_a_file_with_fewer_columns_changes_only_those_when_its_records_are_replayed(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v,phone\n1,a,12\n2,too long,\n")
    write(tmp_path, "2.csv", "id,v\n1,too long\n")
    hold(warehouse, configured)
    assert replay(warehouse, configured).replayed == 2
    assert things(warehouse, "id, v, phone") == [("1", "too long", "12"), ("2", "too long", None)]


@pytest.mark.parametrize(
    ("ending", "content", "expected"),
    [
        (
            ".jsonl",
            LINE,
            (
                Decimal("12345678901234567890.12345678901234567890"),
                "2026-01-01 00:00:00+00", True, '{"x": [0.10, "7"]}', '"5"',
            ),
        ),
        (
            ".csv",
            'id,v,big,when,flag,deep,word\na,too long,1.10,2026-01-01,TRUE,"{""x"": 1.0}",5\n',
            (Decimal("1.10"), "2026-01-01 00:00:00+00", True, '{"x": 1.0}', "5"),
        ),
        (
            ".parquet",
            {
                "id": ["a"], "v": ["too long"], "big": [Decimal("1.10")],
                "when": pa.array([1767225600000001000], pa.timestamp("ns")), "flag": [True],
                "deep": [{"x": [1]}], "word": ['{"y": 1}'],
            },
            (Decimal("1.10"), "2026-01-01 00:00:00.000001+00", True, '{"x": [1]}', '{"y": 1}'),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("held_by", ["rule", "type"])
def test_values_of_every_format_land_as_if_they_had_never_been_held(
    warehouse: Warehouse,
    tmp_path: Path,
    *,
    ending: str,
    content: Any,
    expected: tuple[object, ...],
    held_by: str,
) -> None:
    types = {
        "big": "numeric", "when": "timestamptz", "flag": "boolean", "deep": "jsonb",
        "word": "jsonb",
    }  # fmt: skip
    strict = {**types, "v": "bigint"} if held_by == "type" else types
    write(tmp_path, f"1{ending}", parquet(content) if isinstance(content, dict) else content)
    configured = lenient(files(tmp_path, glob=f"*{ending}", columns=strict))
    if held_by == "rule":
        hold(warehouse, configured)
    else:
        sync(warehouse, configured)
    with warehouse.connect() as connection:
        connection.execute("alter table raw_lists.things alter column v type text")
    outcome = replay(warehouse, lenient(files(tmp_path, glob=f"*{ending}", columns=types)))
    assert outcome.replayed == 1
    columns = 'big, "when"::text, flag, deep::text, word::text'
    assert things(warehouse, columns) == [expected]


def test_what_was_never_read_is_not_tried_and_is_counted_by_reason(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.csv", b"id,v\n1\n2,\xff\n3,too long\n4,x\n")
    configured = lenient(files(tmp_path))
    hold(warehouse, configured)
    assert replay(warehouse, configured) == Replayed(
        "lists", "things", replayed=1, not_replayable={"ragged_row": 1, "invalid_encoding": 1}
    )
    assert things(warehouse) == [("3", "too long"), ("4", "x")]
    assert sorted(row[2:4] for row in fetch(warehouse, HELD) if row[2] is None) == [
        (None, 1), (None, 1),
    ]  # fmt: skip


def test_a_parquet_value_that_json_has_no_form_for_is_not_replayed_as_another(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    content = {
        "id": list("abcd"), "n": [float("nan"), 1.0, float("inf"), 2.0],
        "v": [b"x", b"\xff", b"x", b"y"],
    }  # fmt: skip
    write(tmp_path, "1.parquet", parquet(content))
    configured = lenient(files(tmp_path, glob="*.parquet", columns={"n": "numeric", "v": "text"}))
    sync(warehouse, configured)
    with warehouse.connect() as connection:
        connection.execute("alter table raw_lists.things alter column n type text")
    loose = lenient(files(tmp_path, glob="*.parquet", columns={"n": "text", "v": "text"}))
    assert replay(warehouse, loose).not_replayable == {"value_does_not_fit": 3}
    assert things(warehouse, "id, n, v") == [("d", "2", "y")]


def test_a_record_without_a_key_stays_held_beside_the_others(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.jsonl", '{"v": "a"}\n{"id": "", "v": "b"}\n{"id": "1", "v": "too long"}\n')
    configured = lenient(files(tmp_path, glob="*.jsonl"))
    hold(warehouse, configured)
    only_keyless = replay(warehouse, configured, reason="missing_key")
    assert (only_keyless.replayed, only_keyless.still_held) == (0, 2)
    assert replay(warehouse, configured).replayed == 1


def test_nested_fields_are_flattened_again(warehouse: Warehouse, tmp_path: Path) -> None:
    line = '{"id": "%d", "updatedAt": "%s", "properties": {"email": "a@b.c", "city": "Ulm"}}\n'
    times = ("2026-01-01T00:00:00Z", "2026-01-01")
    content = "".join(line % (number, time) for number, time in enumerate(times))
    write(tmp_path, "batch_1/hubspot/contacts.jsonl", content.replace('01-01"', '01-32"'))
    configured = export(tmp_path, "hubspot")
    hold(warehouse, configured, RowRule("no_mail", "property_email is not null", "no mail"))
    with warehouse.connect() as connection:
        connection.execute("update ops.quarantine set payload = replace(payload, '-32', '-02')")
    assert replay(warehouse, configured).replayed == 2
    assert fetch(
        warehouse,
        "select id, property_email, property_city, _source_updated_at::date::text "
        "from raw_hubspot.contacts order by id",
    ) == [("0", "a@b.c", "Ulm", "2026-01-01"), ("1", "a@b.c", "Ulm", "2026-01-02")]


def test_a_replay_keeps_to_the_contract_of_its_source(warehouse: Warehouse, tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "id,v\n1,a\n")
    settings, source = lenient(files(tmp_path))
    sync(warehouse, (settings, source))
    write(tmp_path, "2.csv", "id,v,more\n2,b,x\n3,c,\n")
    held_back = source.model_copy(update={"schema_contract": "discard"})
    sync(warehouse, (settings, held_back))
    for contract, still_held in (("discard", 1), ("evolve", 0)):
        changed = source.model_copy(update={"schema_contract": contract})
        configured = settings.model_copy(update={"sources": (changed,)}), changed
        assert replay(warehouse, configured).still_held == still_held
    assert things(warehouse, "id, v, more")[1] == ("2", "b", "x")


def test_a_replay_does_not_make_the_files_be_read_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    write(tmp_path, "1.csv", "id,v\n1,a\n2,too long\n")
    configured = lenient(files(tmp_path))
    hold(warehouse, configured)
    replay(warehouse, configured)
    assert sync(warehouse, configured) == {}
    write(tmp_path, "0.csv", "id,v\n2,first\n")
    assert list(sync(warehouse, configured)) == ["0.csv", "1.csv"]
    assert things(warehouse) == [("1", "a"), ("2", "too long")]
    assert sync(warehouse, configured) == {}
    changed = "select changed_run_id is not null from ops.stream_state where slice = 'replay'"
    assert fetch(warehouse, changed) == [(True,)]


def test_a_replay_that_fails_lands_nothing_of_its_slice_and_is_recorded(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,too long\n")
    write(tmp_path, "2.csv", "id,v\n2,too long\n")
    hold(warehouse, configured)
    broken = RowRule("broken", "(id = '2' and 1 / (length(v) - 8) > 0)", "divides by zero")
    result = replay_records(
        warehouse, configured[0], Selection(), run_id=uuid.uuid4(), rules=lambda *_: [broken]
    )
    assert list(result.errors) == ["lists.things"]
    assert "too long" not in str(result.errors)
    assert result.streams[0].replayed == 1
    assert things(warehouse) == [("1", "too long")]
    assert [row[2] for row in fetch(warehouse, HELD)] == ["replayed", None]
    recorded = (
        "select status, rows_extracted, rows_inserted, error is not null from ops.sync_runs "
        "where slice = 'replay'"
    )
    assert fetch(warehouse, recorded) == [("failed", 1, 1, True)]
    assert replay(warehouse, configured).replayed == 1


def test_a_stream_that_cannot_be_replayed_does_not_stop_the_others(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,too long\n")
    hold(warehouse, configured)
    with warehouse.connect() as connection:
        for source, stream in (("gone", "things"), ("lists", "gone")):
            connection.execute(
                "insert into ops.quarantine (source, stream, reason, detail, payload, "
                "payload_sha256, payload_kind, slice, run_id, first_seen_at, last_seen_at, "
                "arrived_at) select %s, %s, reason, detail, payload, payload_sha256, payload_kind, "
                "slice, run_id, first_seen_at, last_seen_at, arrived_at from ops.quarantine "
                "limit 1",
                [source, stream],
            )
    result = replay_records(warehouse, configured[0], Selection(), run_id=uuid.uuid4())
    assert result.errors.keys() == {"gone.things", "lists.gone"}
    assert "no such stream any more" in result.errors["lists.gone"]
    assert [stream.replayed for stream in result.streams] == [0, 0, 1]


def test_a_source_that_another_process_syncs_is_not_replayed(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = lenient(files(tmp_path))
    write(tmp_path, "1.csv", "id,v\n1,too long\n")
    hold(warehouse, configured)
    with hold_sources(warehouse, ["lists"]):
        result = replay_records(warehouse, configured[0], Selection(), run_id=uuid.uuid4())
    assert "Another process is syncing lists" in result.errors["lists.things"]


def test_many_held_records_are_replayed_in_batches(warehouse: Warehouse, tmp_path: Path) -> None:
    lines = "".join(f"{number},too long {number}\n" for number in range(2500))
    write(tmp_path, "1.csv", "id,v\n" + lines + "".join(f"a{number},x,y\n" for number in range(10)))
    settings, source = lenient(files(tmp_path))
    configured = settings.model_copy(update={"batch_rows": 100}), source
    hold(warehouse, configured)
    assert replay(warehouse, configured).replayed == 2500
    assert len(things(warehouse)) == 2500


SELECTIONS: list[tuple[Selection, int]] = [
    (Selection(), 4),
    (Selection(("lists",)), 4),
    (Selection(("lists.things",)), 4),
    (Selection(("list",)), 0),
    (Selection(("lists.thing",)), 0),
    (Selection(reason="ragged_row"), 1),
    (Selection(ids=(3, 4)), 2),
    (Selection(("lists",), (3, 4), "value_does_not_fit"), 2),
    (Selection(resolved=True), 5),
]


def test_a_selection_narrows_by_all_that_it_says(warehouse: Warehouse, tmp_path: Path) -> None:
    hold_five(warehouse, tmp_path)
    for selection, expected in SELECTIONS:
        assert count_records(warehouse, selection) == expected
        assert list_records(warehouse, selection, 100).total == expected


def hold_five(warehouse: Warehouse, folder: Path) -> Configured:
    """Hold three records that do not fit and two ragged lines, of which one is resolved."""
    write(folder, "1.csv", "id,n\n1,x\n2,y\n3,z\n4\n5\n")
    configured = lenient(files(folder, columns={"n": "numeric"}))
    sync(warehouse, configured)
    with warehouse.connect() as connection:
        connection.execute(
            "update ops.quarantine set resolved_at = now(), resolution = 'discarded' "
            "where payload = '5'"
        )
    return configured


def test_a_list_counts_all_and_shows_the_newest_without_any_value(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    hold_five(warehouse, tmp_path)
    with warehouse.connect() as connection:
        connection.execute("update ops.quarantine set last_seen_at = now() where record_key = '1'")
    found = list_records(warehouse, Selection(), 2)
    assert [(c.stream, c.reason, c.records) for c in found.counts] == [
        ("things", "ragged_row", 1), ("things", "value_does_not_fit", 3),
    ]  # fmt: skip
    assert (found.total, len(found.records)) == (4, 2)
    newest = found.records[0]
    assert (newest.source, newest.stream, newest.slice) == ("lists", "things", "1.csv")
    assert (newest.times_seen, newest.resolution) == (1, None)
    assert not {"payload", "record_key"} & vars(newest).keys()


def test_a_record_is_shown_with_everything(warehouse: Warehouse, tmp_path: Path) -> None:
    hold_five(warehouse, tmp_path)
    ids = {record.reason: record.quarantine_id for record in records(warehouse)}
    bad, ragged = show_records(warehouse, [ids["value_does_not_fit"], ids["ragged_row"]])
    assert bad.payload == f'{{"id":"{bad.record_key}","n":"{"xyz"[int(bad.record_key or 0) - 1]}"}}'
    assert (bad.payload_kind, ragged.payload_kind) == ("table", "unreadable")
    with pytest.raises(ConfigurationError, match="987 does not exist"):
        show_records(warehouse, [bad.quarantine_id, 987])


def records(warehouse: Warehouse) -> tuple[Any, ...]:
    return list_records(warehouse, Selection(resolved=True), 100).records


def test_a_discarded_record_is_kept_and_opens_again_when_it_arrives_again(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    configured = hold_five(warehouse, tmp_path)
    assert discard_records(warehouse, Selection(("lists",), reason="value_does_not_fit")) == 3
    assert discard_records(warehouse, Selection(("lists",))) == 1
    assert discard_records(warehouse, Selection(("lists",))) == 0
    assert {record.resolution for record in records(warehouse)} == {"discarded"}
    write(tmp_path, "2.csv", "id,n\n1,x\n9,9\n")
    sync(warehouse, configured)
    (opened,) = list_records(warehouse, Selection(), 100).records
    assert (opened.slice, opened.times_seen) == ("2.csv", 2)


@pytest.mark.parametrize(
    "work", [count_records, lambda w, s: replay_records(w, Settings(), s, run_id=uuid.uuid4())]
)
def test_an_id_that_is_not_that_of_a_held_record_is_named_and_nothing_is_done(
    warehouse: Warehouse, tmp_path: Path, work: Callable[[Warehouse, Selection], object]
) -> None:
    hold_five(warehouse, tmp_path)
    ids = {r.resolution: r.quarantine_id for r in records(warehouse)}
    for selection, says in (
        (Selection(ids=(987,)), "987 does not exist"),
        (Selection(ids=(ids["discarded"],)), r"is resolved already \(discarded\)"),
        (Selection(("other",), (ids[None],)), "is none of those chosen"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            work(warehouse, selection)
    assert count_records(warehouse, Selection()) == 4


def test_a_target_is_a_configured_source_or_what_was_ever_synced(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    settings, _ = configured = lenient(files(tmp_path))
    require_targets(warehouse, settings, ["lists"])
    with pytest.raises(ConfigurationError, match=r"lists\.thing: no source.* There are: lists\."):
        require_targets(warehouse, settings, ["lists", "lists.thing"])
    write(tmp_path, "1.csv", "id\n1\n")
    sync(warehouse, configured)
    require_targets(warehouse, Settings(), ["lists", "lists.things"])
