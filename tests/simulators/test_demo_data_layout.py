from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from crmhouse.errors import ConfigurationError
from simulators.demo_data import DemoSummary, generate
from simulators.demo_data.clock import add_months, months_until
from simulators.demo_data.salesforce import with_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reader = Callable[[Path], list[dict[str, Any]]]

SMALL = 120
# What the reference data lack in files that they have.
MORE_KEYS = {
    "salesforce/Opportunity.csv": {".OwnerId"},
    "shopify/orders.jsonl": {
        ".refunds[].refund_line_items",
        ".transactions",
        *(
            f".refunds[].refund_line_items[].{key}"
            for key in (
                "id", "line_item_id", "quantity", "restock_type", "subtotal", "total_tax",
            )
        ),
        *(
            f".transactions[].{key}"
            for key in (
                "id", "kind", "status", "gateway", "created_at", "processed_at", "amount",
                "currency",
            )
        ),
    },
}  # fmt: skip
GENERATE = (
    "import sys; from pathlib import Path; from simulators.demo_data import generate; "
    f"generate(Path(sys.argv[1]), persons={SMALL}, seed=3)"
)


def files_of(folder: Path) -> dict[str, Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path for path in found}


def digests(folder: Path) -> dict[str, str]:
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files_of(folder).items()
    }


def key_paths(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}"
            yield from key_paths(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, f"{path}[]")


def value_types(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name, type(value).__name__) for name, value in row.items())


def key_of(row: dict[str, Any]) -> str:
    return str(row.get("Id") or row["id"])


def test_two_processes_with_other_hash_seeds_write_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for hash_seed in ("1", "2"):
        folder = tmp_path / hash_seed
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run(
            [sys.executable, "-c", GENERATE, str(folder)], check=True, env=environment, timeout=60
        )
        written.append(digests(folder))
    assert written[0] == written[1]
    assert len(written[0]) == 2 * 35 + 1 + 2 * 5 + 5


def test_another_seed_gives_another_company(tmp_path: Path) -> None:
    for seed in (3, 4):
        generate(tmp_path / str(seed), persons=SMALL, seed=seed)
    first, second = digests(tmp_path / "3"), digests(tmp_path / "4")
    assert first.keys() == second.keys()
    empty = hashlib.sha256().hexdigest()
    assert {*first.values()} & {*second.values()} <= {empty}


def test_the_files_are_those_of_the_reference_data_and_more(
    generated: Path, crm_demo: Path
) -> None:
    reference = set(files_of(crm_demo)) - {"SOURCE.md"}
    more = set(files_of(generated)) - reference
    assert reference < set(files_of(generated))
    assert {name for name in more if not name.startswith("batch_")} == {"truth/book_xref.csv"}


def test_columns_and_keys_are_those_of_the_reference_data_and_more(
    generated: Path, crm_demo: Path, read: Reader
) -> None:
    for name in set(files_of(crm_demo)) - {"SOURCE.md", "truth/expected.json"}:
        more = MORE_KEYS.get(name.partition("/")[2], set())
        ours, theirs = read(generated / name), read(crm_demo / name)
        own = {key.removeprefix(".") for key in more}
        assert [key for key in ours[0] if key not in own] == list(theirs[0]), name
        assert {p for row in ours for p in key_paths(row)} - {
            p for row in theirs for p in key_paths(row)
        } == more, name
        assert {p for row in theirs for p in key_paths(row)} <= {
            p for row in ours for p in key_paths(row)
        }, name
        assert {t for row in ours for t in value_types(row) if t[0] not in own} <= {
            t for row in theirs for t in value_types(row)
        }, name


def test_expected_totals_have_the_keys_of_the_reference_data(
    generated: Path, crm_demo: Path
) -> None:
    ours, theirs = (
        json.loads((folder / "truth" / "expected.json").read_text(encoding="utf-8"))
        for folder in (generated, crm_demo)
    )
    assert set(key_paths(theirs)) < set(key_paths(ours))


def test_the_second_batch_holds_only_rows_that_differ(generated: Path, read: Reader) -> None:
    for name in files_of(generated / "batch_1"):
        before = {key_of(row): row for row in read(generated / "batch_1" / name)}
        after = read(generated / "batch_2" / name)
        assert after, name
        assert not [row for row in after if before.get(key_of(row)) == row], name


def test_the_summary_counts_the_rows_of_every_file(summary: DemoSummary, read: Reader) -> None:
    for batch, rows in summary.rows.items():
        for name, path in files_of(summary.folder / batch).items():
            assert rows[name.split(".")[0].replace(os.sep, ".")] == len(read(path))


def test_other_ends_of_the_batches_bound_every_change(tmp_path: Path, read: Reader) -> None:
    ends = {"batch_1": "2026-02-15T12:00:00", "batch_2": "2026-03-10T00:00:00"}
    generate(
        tmp_path,
        persons=SMALL,
        begins=datetime(2025, 1, 1, tzinfo=UTC),
        end_batch_1=datetime.fromisoformat(f"{ends['batch_1']}+00:00"),
        end_batch_2=datetime.fromisoformat(f"{ends['batch_2']}+00:00"),
    )
    begins = "2025-01-01"
    for batch, end in ends.items():
        changes = [
            row["SystemModstamp"] for row in read(tmp_path / batch / "salesforce" / "Contact.csv")
        ]
        assert begins < min(changes) <= max(changes) < end
        begins = end


def test_a_batch_in_which_no_deal_moved_still_has_its_header(tmp_path: Path) -> None:
    minutes_later = datetime(2025, 4, 1, 0, 5, tzinfo=UTC)
    generate(tmp_path, persons=SMALL, end_batch_2=minutes_later)
    first, second = (
        (tmp_path / batch / "salesforce" / "OpportunityHistory.csv").read_text("utf-8").splitlines()
        for batch in ("batch_1", "batch_2")
    )
    assert len(first) > 1
    assert second == first[:1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"persons": 49}, "50 or more"),
        ({"end_batch_1": datetime(2025, 4, 1)}, "time zone"),  # noqa: DTZ001 - that is refused
        ({"end_batch_1": datetime(2025, 7, 1, tzinfo=UTC)}, "ascending"),
        ({"begins": datetime(2025, 4, 1, tzinfo=UTC)}, "ascending"),
    ],
)
def test_a_size_or_timeline_that_cannot_work_is_refused(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        generate(tmp_path / "none", **arguments)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("start", "count", "expected"),
    [
        (datetime(2024, 1, 31, 5, tzinfo=UTC), 1, datetime(2024, 2, 29, 5, tzinfo=UTC)),
        (datetime(2024, 1, 31, 5, tzinfo=UTC), 2, datetime(2024, 3, 31, 5, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), 12, datetime(2025, 2, 28, tzinfo=UTC)),
        (datetime(2024, 12, 1, tzinfo=UTC), 1, datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_months_are_added_by_the_calendar(start: datetime, count: int, expected: datetime) -> None:
    assert add_months(start, count) == expected


def test_an_end_at_the_first_of_a_month_does_not_open_that_month() -> None:
    begins = datetime(2024, 11, 15, tzinfo=UTC)
    assert months_until(begins, datetime(2025, 1, 1, tzinfo=UTC)) == ["2024-11", "2024-12"]
    assert months_until(begins, datetime(2025, 1, 1, 0, 0, 1, tzinfo=UTC))[-1] == "2025-01"


def test_salesforce_ids_end_with_the_check_of_their_letter_case(
    generated: Path, read: Reader
) -> None:
    assert with_checks("0015000000Gv7qJ") == "0015000000Gv7qJAAR"
    for row in read(generated / "batch_1" / "salesforce" / "Contact.csv"):
        assert row["Id"] == with_checks(row["Id"][:15])
