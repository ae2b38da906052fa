"""Every file of tests/hostile, and the same values in Parquet, through every loader and landing."""

from __future__ import annotations

import gzip
import hashlib
import uuid
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from file_sources import files, sync, write
from hostile_files import CHANGED, FOLDER, KINDS, PARQUET, array_of, good, made, parquet_of
from landing_records import fetch

from crmhouse.errors import SourceUnavailableError, SyncFailedError
from ingestion.catalogue import read_table
from ingestion.landing import land_slice
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.settings import Settings, SourceConfig
    from crmhouse.warehouse import Warehouse
    from ingestion.batches import Batch
    from ingestion.runs import SliceRun

MISFIT = "value_does_not_fit"
NO_JSON = "invalid_json"


@dataclass(frozen=True)
class Outcome:
    """What must become of a file.

    Attributes:
        lands: the text of `value` by id.
        held: the keys of the records in quarantine by reason; None where no key is known.
        refused: what the error says of a file of which nothing lands.
    """

    lands: dict[str, str | None] = field(default_factory=dict)
    held: dict[str, list[str | None]] = field(default_factory=dict)
    refused: str = ""


def numbered(*values: str | None) -> dict[str, str | None]:
    """Records of the ids 1, 2, …"""
    return {str(number + 1): value for number, value in enumerate(values)}


def misfits(*ids: int) -> dict[str, list[str | None]]:
    """Records of these ids whose value does not fit."""
    return {MISFIT: [str(number) for number in ids]}


GOOD = {"1": "good"}
NOTHING = Outcome()
NESTED = {"2": "[1]", "3": "[" * 200 + "]" * 200}
LINES = Outcome(numbered("a\r\nb", "\n", 'a "b", c'))
MARKED = Outcome(numbered("\ufeffinside", "good"))
DAYS = Outcome(
    {"1": "0001-01-01", "2": "9999-12-31", "6": "2024-02-29"}, misfits(3, 4, 5, 7, 8, 9, 10)
)
TIMES = Outcome(
    numbered(
        "2026-01-01 00:00:00+00", "2025-12-31 10:00:00+00", "2026-01-01 12:00:00+00",
        "2026-01-01 00:00:00+00", "2026-01-01 00:00:00.123456+00", "2026-01-01 00:00:00+00",
        "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00",
    ),
    misfits(9, 10, 12, 13, 14, 15),
)  # fmt: skip
EXACT = {
    "1": "0.1", "2": "12345678901234567890.12345678901234567890", "3": "0.00000000000000000001",
    "4": "0.0", "9": "5", "10": "1" + "0" * 999,
}  # fmt: skip
FORMULAS = Outcome(
    numbered(
        "=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "+1+1", "-1+1", "@SUM(A1)", "\t=1",
        "'; drop table x; --", "%s %(a)s {0} ${x}", "<script>alert(1)</script>", "\x1b[2J",
        "a\\nb", "\u202egnirts", "\U0001d7d8 \ufdfd e\u0301",
    )
)  # fmt: skip
EMPTY_NUMBERS = Outcome(numbered(None, None), misfits(3, 4))
NO_KEY = Outcome(refused="no record has the field id")
LAST = Outcome({"1": "last", "2": "same"})

OUTCOMES: dict[str, Outcome] = {
    "nul_bytes.csv": Outcome({"2": "good"}, misfits(1)),
    "nul_bytes.jsonl": Outcome({"3": "good"}, {**misfits(1), NO_JSON: [None]}),
    "nul_bytes.parquet": Outcome({"2": "good"}, misfits(1)),
    "invalid_utf8.csv": Outcome({"3": "good"}, {"invalid_encoding": [None, None]}),
    "invalid_utf8.jsonl": Outcome({"2": "good"}, {NO_JSON: [None]}),
    "invalid_utf8.parquet": Outcome({"3": "good"}, misfits(1, 2)),
    **{f"byte_order_mark.{ending}": MARKED for ending in ("csv", "jsonl", "parquet")},
    **{f"crlf_in_quotes.{ending}": LINES for ending in ("csv", "jsonl", "parquet")},
    "ragged_rows.csv": Outcome({"1": "good", "4": "quoted, comma"}, {"ragged_row": [None] * 3}),
    "unclosed_quote.csv": Outcome(refused="a quote in the CSV file is never closed"),
    "unclosed_quote.jsonl": Outcome({"1": "good", "3": "good"}, {NO_JSON: [None]}),
    "beyond_int64.csv": Outcome(
        {"1": "9223372036854775807", "2": "-9223372036854775808", "6": "1"}, misfits(3, 4, 5)
    ),
    "beyond_int64.jsonl": Outcome(
        numbered("9223372036854775807", "9223372036854775808", "-99999999999999999999")
    ),
    "beyond_int64.parquet": Outcome({"1": "9223372036854775807"}, misfits(2, 3)),
    "exact_numbers.csv": Outcome(EXACT, misfits(5, 6, 7, 8)),
    "exact_numbers.jsonl": Outcome(EXACT, misfits(5, 6, 7, 8, 11)),
    "exact_numbers.parquet": Outcome(
        numbered("0.1", "0." + "0" * 19 + "1", "0", "1" + "0" * 300, "0." + "0" * 323 + "5")
    ),
    "not_finite.csv": Outcome({"4": "1"}, misfits(1, 2, 3)),
    "not_finite.jsonl": Outcome({"5": "1"}, {NO_JSON: [None, None], **misfits(3, 4)}),
    "not_finite.parquet": Outcome({"4": "1"}, misfits(1, 2, 3)),
    "days.csv": DAYS,
    "days.jsonl": DAYS,
    "days.parquet": Outcome(numbered("0001-01-01", "9999-12-31")),
    "times.csv": TIMES,
    "times.jsonl": TIMES,
    "times.parquet": Outcome(
        numbered("2025-01-01 00:00:00+00", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59+00"),
        misfits(4, 5, 6),
    ),
    "epochs.csv": Outcome({}, misfits(1, 2, 3, 4, 5)),
    "epochs.jsonl": Outcome({}, misfits(1, 2, 3, 4, 5)),
    "epochs.parquet": Outcome({}, misfits(1, 2)),
    "empty_or_null_text.csv": Outcome(numbered(None, "", " ", "NULL", "null", "\\N")),
    "empty_or_null_text.jsonl": Outcome(numbered(None, "", " ", "NULL", "null", "\\N", None)),
    "empty_or_null_text.parquet": Outcome(numbered(None, "", " ", "NULL")),
    "empty_or_null_number.csv": EMPTY_NUMBERS,
    "empty_or_null_number.jsonl": Outcome({"1": None}, misfits(2, 3, 4)),
    "empty_or_null_number.parquet": EMPTY_NUMBERS,
    "duplicate_keys.csv": LAST,
    "duplicate_keys.jsonl": LAST,
    "missing_key.csv": Outcome(GOOD, {"missing_key": [None, None]}),
    "missing_key.jsonl": Outcome(GOOD, {"missing_key": [None, None, None]}),
    "no_key_at_all.csv": NO_KEY,
    "no_key_at_all.jsonl": NO_KEY,
    "formulas.csv": FORMULAS,
    "formulas.jsonl": FORMULAS,
    "sql_in_identifiers.csv": Outcome({"1": None}),
    "sql_in_identifiers.jsonl": Outcome({"1": None}),
    "deep_json.csv": Outcome(NESTED, misfits(1)),
    "deep_json.jsonl": Outcome(NESTED, {NO_JSON: [None]}),
    "deep_json.parquet": Outcome({"2": "[1]"}, misfits(1)),
    "lone_surrogates.csv": Outcome(
        {"2": '"\U0001f600"'}, {**misfits(1, 4), "invalid_encoding": [None]}
    ),
    "lone_surrogates.jsonl": Outcome(
        {"2": '"\U0001f600"'}, {**misfits(4), NO_JSON: [None, None, None]}
    ),
    "lone_surrogates.parquet": Outcome({"2": '"\U0001f600"'}, misfits(1, 3, 4)),
    "empty.csv": NOTHING,
    "empty.jsonl": NOTHING,
    "header_only.csv": NOTHING,
    "blank_lines.csv": NOTHING,
    "blank_lines.jsonl": NOTHING,
    "twice_in_an_object.jsonl": Outcome({"1": "last"}),
    "not_records.jsonl": Outcome(GOOD, {"not_a_record": [None] * 3, NO_JSON: [None, None]}),
    "carriage_returns.csv": Outcome(refused="Lines must end in LF or CRLF"),
    "columns_named_twice.csv": Outcome(refused="the header names value twice"),
}
MADE: dict[str, tuple[bytes, Outcome]] = {
    "many_digits.csv": (
        made(".csv", "9" * 200_000, "1." + "3" * 200_000, "7"),
        Outcome({"3": "7"}, misfits(1, 2)),
    ),
    "many_digits.jsonl": (
        made(".jsonl", "9" * 200_000, "1." + "3" * 200_000, "7"),
        Outcome({"3": "7"}, {NO_JSON: [None], **misfits(2)}),
    ),
    "many_digits.parquet": (
        made(".parquet", "9" * 200_000, "1." + "3" * 200_000, "7"),
        Outcome({"3": "7"}, misfits(1, 2)),
    ),
    "no_rows.parquet": (parquet_of([]), NOTHING),
    "empty.parquet": (b"", Outcome(refused="this is not a complete Parquet file")),
    "cut_off.parquet": (
        made(".parquet", "a")[:-20],
        Outcome(refused="this is not a complete Parquet file"),
    ),
}


# Read from an archive, a file has to be started again where a line is odd.
PACKED = ("nul_bytes.csv", "ragged_rows.csv", "invalid_utf8.csv", "unclosed_quote.csv")
BREAKING = ("unclosed_quote.jsonl", "not_records.jsonl")


@dataclass(frozen=True)
class Landing:
    """A folder that is synced into the stream `things`, its versions told by a column or not."""

    warehouse: Warehouse
    folder: Path
    kind: str
    version: str | None

    @property
    def configured(self) -> tuple[Settings, SourceConfig]:
        columns = {"value": self.kind, "changed": "timestamptz"}
        settings, source = files(self.folder, glob="*", columns=columns, version=self.version)
        return settings.model_copy(update={"max_quarantine_share": 1.0}), source

    def sync(self) -> dict[str, SliceRun]:
        return sync(self.warehouse, self.configured)

    def rows(self) -> dict[str, str | None]:
        return dict(fetch(self.warehouse, "select id, value::text from raw_lists.things"))

    def state(self) -> list[tuple[Any, ...]]:
        """Every row with its place, which changes whenever the row is written."""
        return fetch(
            self.warehouse, "select ctid::text, xmin::text, things.* from raw_lists.things"
        )

    def held(self) -> dict[str, Counter[str | None]]:
        found: dict[str, Counter[str | None]] = {}
        for reason, key in fetch(self.warehouse, "select reason, record_key from ops.quarantine"):
            found.setdefault(reason, Counter())[key] += 1
        return found

    def read_again(self) -> dict[str, SliceRun]:
        """Forget what has landed, and sync."""
        with self.warehouse.connect() as connection:
            connection.execute("update ops.stream_state set checkpoint = '{}'")
        return self.sync()


def contents() -> dict[str, tuple[bytes, Outcome]]:
    """All files, by name, with what must become of them."""
    found = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name[0] != "."}
    found |= {f"{name}.parquet": parquet_of(values) for name, values in PARQUET.items()}
    assert found.keys() == OUTCOMES.keys()
    known = {name: (found[name], OUTCOMES[name]) for name in sorted(found)} | MADE
    packed = {f"{name}.gz": (gzip.compress(known[name][0]), known[name][1]) for name in PACKED}
    return known | packed | dict(arrays(known))


def arrays(known: dict[str, tuple[bytes, Outcome]]) -> Iterator[tuple[str, tuple[bytes, Outcome]]]:
    """JSON arrays of the JSON Lines: the same, but for lines that break the array itself."""
    for name, (content, outcome) in known.items():
        if name.endswith(".jsonl") and not name.startswith("byte_order_mark"):
            array = array_of(content), Outcome(refused="JSON") if name in BREAKING else outcome
            yield name.removesuffix("l"), array


FILES = contents()


@pytest.mark.parametrize("version", [None, "changed"], ids=["without versions", "with versions"])
@pytest.mark.parametrize("name", FILES)
def test_of_a_hostile_file_exactly_the_good_records_land_and_the_next_file_too(
    warehouse: Warehouse, tmp_path: Path, name: str, version: str | None
) -> None:
    content, outcome = FILES[name]
    stem, _, ending = name.partition(".")
    landing = Landing(warehouse, tmp_path, KINDS.get(stem, "text"), version)
    write(tmp_path, name, content)
    if outcome.refused:
        with pytest.raises(SyncFailedError, match=outcome.refused):
            landing.sync()
        assert fetch(warehouse, "select count(*) from ops.stream_state") == [(0,)]
    else:
        run = landing.sync()[name]
        assert (run.inserted, run.quarantined) == (
            len(outcome.lands), sum(map(len, outcome.held.values())),
        )  # fmt: skip
    assert landing.rows() == outcome.lands
    assert landing.held() == {reason: Counter(keys) for reason, keys in outcome.held.items()}

    if not outcome.refused:
        before = landing.state()
        assert landing.read_again()[name].changed == 0
        assert landing.state() == before
        assert landing.held() == {reason: Counter(keys) for reason, keys in outcome.held.items()}

    next_file = name if outcome.refused else f"{stem}_next.{ending}"
    write(tmp_path, next_file, good(f".{ending}"))
    assert landing.sync()[next_file].inserted == 1
    assert landing.rows() == {**outcome.lands, "good": None}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_field_of_100_mb_lands_or_is_held_back_whole(
    warehouse: Warehouse, tmp_path: Path, ending: str
) -> None:
    huge = "7" * (100 << 20)
    texts = (huge, "good") if ending != ".jsonl" else (f'"{huge}"', '"good"')
    write(tmp_path, f"1{ending}", made(ending, *texts))
    landing = Landing(warehouse, tmp_path, "text", None)
    assert landing.sync()[f"1{ending}"].inserted == 2
    digest = hashlib.md5(huge.encode(), usedforsecurity=False).hexdigest()
    assert fetch(warehouse, "select id, md5(value) from raw_lists.things order by id")[0] == (
        "1", digest,
    )  # fmt: skip
    assert landing.read_again()[f"1{ending}"].changed == 0
    with warehouse.connect() as connection:
        connection.execute("drop table raw_lists.things")
        connection.execute("truncate ops.stream_state")
    number = Landing(warehouse, tmp_path, "bigint", None)
    run = number.sync()[f"1{ending}"]
    assert (run.inserted, run.quarantined) == (0, 2)
    assert fetch(
        warehouse, "select max(octet_length(payload)) between %s and %s from ops.quarantine",
        [len(huge), len(huge) + 100],
    ) == [(True,)]  # fmt: skip


def test_a_file_that_grows_while_it_is_read_lands_nothing_and_lands_whole_the_next_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    path = write(tmp_path, "1.csv", "id,value,changed\n" + f"1,a,{CHANGED}\n")
    landing = Landing(warehouse, tmp_path, "text", None)
    settings, source = landing.configured
    reader = connector(settings, source)
    (stream,) = reader.streams()
    (part,) = reader.slices(stream, {})

    def read_while_it_grows() -> Iterator[Batch]:
        for batch in part.read():
            yield batch
            with path.open("a") as file:
                file.write(f"2,b,{CHANGED}\n")

    with pytest.raises(SourceUnavailableError, match="changed while it was read"):
        land_slice(
            warehouse,
            "lists",
            stream,
            replace(part, read=read_while_it_grows),
            run_id=uuid.uuid4(),
            max_quarantine_share=1,
        )
    assert landing.rows() == {}
    assert fetch(warehouse, "select count(*) from ops.stream_state") == [(0,)]
    assert landing.sync()["1.csv"].inserted == 2
    assert landing.rows() == {"1": "a", "2": "b"}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_names_of_fields_are_no_sql(warehouse: Warehouse, tmp_path: Path, ending: str) -> None:
    name = f"sql_in_identifiers.{ending}"
    write(tmp_path, name, FILES[name][0])
    Landing(warehouse, tmp_path, "text", None).sync()
    with warehouse.connect() as connection:
        present = read_table(connection, "raw_lists", "things")
    assert present
    columns = {source: column.name for source, column in present.columns.items()}
    ((row,),) = fetch(warehouse, "select to_jsonb(things) from raw_lists.things")
    values = {'"; drop table x; --': "a", "%s": "b", 'a"b': "c", "select": "d", "": "e", "été": "f"}
    assert {source: row[columns[source]] for source in values} == values
    assert columns['"; drop table x; --'] == "_drop_table_x_"
