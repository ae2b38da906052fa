"""What Great Expectations does that a gate must not pass on, and what it must never do."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from quality_tables import AS_OF, SOURCES

import quality
from quality.gx import expectations, open_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import RunGate

    from crmhouse.warehouse import Warehouse
    from quality.gx import Session

SECRET = "hunter2-$canary:@/%"  # noqa: S105  # with all that URLs and templates stumble on
NOT_NULL = {"meta": {"rule": "filled"}}


@pytest.fixture
def session(warehouse: Warehouse) -> Iterator[Session]:
    with open_session(warehouse) as session:
        yield session


def test_a_count_is_not_capped_and_brings_no_value_of_a_row(session: Session) -> None:
    view = session.view("select null::text as a from generate_series(1, 250)")
    filled = expectations().ExpectColumnValuesToNotBeNull(column="a", **NOT_NULL)
    assert session.check(view, {"filled": filled}, counted=True)["filled"].count == 250


def test_a_missing_column_is_told_apart_from_a_failure(session: Session) -> None:
    view = session.view("select 1 as a")
    filled = expectations().ExpectColumnValuesToNotBeNull(column="gone", **NOT_NULL)
    for counted in (False, True):
        outcome = session.check(view, {"filled": filled}, counted=counted)["filled"]
        assert outcome.success is None
        assert outcome.error == "the check itself failed"


def test_an_error_of_the_database_is_named_without_the_value_that_caused_it(
    session: Session,
) -> None:
    view = session.view("select name::integer as a from (values ('Mia Chen')) as people (name)")
    filled = expectations().ExpectColumnValuesToBeBetween(column="a", min_value=0, **NOT_NULL)
    outcome = session.check(view, {"filled": filled}, counted=False)["filled"]
    assert outcome.success is None
    assert outcome.error == "InvalidTextRepresentation"


def test_an_empty_table_passes_every_rule_about_rows_so_a_count_must_object(
    session: Session,
) -> None:
    view = session.view("select null::text as a where false")
    filled = expectations().ExpectColumnValuesToNotBeNull(column="a", **NOT_NULL)
    assert session.check(view, {"filled": filled}, counted=False)["filled"].success is True


def test_mostly_leaves_null_out_so_a_share_is_a_rule_of_its_own(session: Session) -> None:
    """Nine of ten rows are NULL: `mostly` sees one value, and it is fine."""
    view = session.view("select case when n = 1 then 5 end as a from generate_series(1, 10) as n")
    mostly = expectations().ExpectColumnValuesToBeBetween(
        column="a", min_value=0, mostly=0.9, **NOT_NULL
    )
    assert session.check(view, {"filled": mostly}, counted=False)["filled"].success is True


def test_colons_percent_signs_and_braces_in_a_rule_reach_the_database(session: Session) -> None:
    view = session.view("select ('a:b %s {x} 100%' like '%:b %s {x}%') as a")
    true = expectations().ExpectColumnValuesToBeInSet(column="a", value_set=[True], **NOT_NULL)
    assert session.check(view, {"filled": true}, counted=True)["filled"].success is True


def test_the_gate_leaves_nothing_in_the_warehouse_but_its_results(
    raw: Warehouse, gate: RunGate
) -> None:
    objects = "select oid from pg_class where relnamespace <> 'pg_toast'::regnamespace order by oid"
    with raw.connect(autocommit=True) as connection:
        before = connection.execute(objects).fetchall()
        gate("raw")
        assert connection.execute(objects).fetchall() == before
        sessions = "select count(*) from pg_stat_activity where application_name = 'crmhouse gate'"
        assert connection.execute(sessions).fetchone() == (0,)


def test_importing_quality_does_not_import_great_expectations() -> None:
    script = "import quality, sys; quality.row_rules('shopify', 'orders'); print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "great_expectations" not in result.stdout.split()


GATE_IN_A_PROCESS = """
import json, logging, sys, uuid
from datetime import datetime
from pathlib import Path

addresses = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        addresses.append(repr(arguments[-1] if event == "socket.connect" else arguments[:2]))
sys.addaudithook(watch)
logging.basicConfig(level=logging.DEBUG)  # everything that anybody logs, on standard error

from crmhouse.warehouse import Warehouse
import quality

given = json.loads(sys.stdin.read())
warehouse = Warehouse(given["parameters"], embedded=True)
run_id = uuid.uuid4()
report = quality.run_gate(
    warehouse, "raw", run_id=run_id, sources=given["sources"],
    as_of=datetime.fromisoformat(given["as_of"]),
)
quality.write_page(warehouse, Path(given["page"]), run_id=run_id)
try:
    report.raise_for_failures(Path(given["page"]))
except Exception as error:
    print(error)
print(report)
print("ADDRESSES", addresses)
"""


def test_a_gate_calls_nobody_and_tells_no_secret_and_no_personal_value(
    raw: Warehouse, tmp_path: Path
) -> None:
    with raw.connect() as connection:
        connection.execute("update raw_hubspot.contacts set created_at = '2025-05-01Z'")
        connection.execute("update raw_shopify.orders set email = 'mia.chen', total_price = -1")
        connection.execute("update raw_salesforce.contact set account_id = 'mia.chen'")
    warehouse = replace(raw, parameters={**raw.parameters, "password": SECRET})
    given = {
        "parameters": warehouse.parameters,
        "sources": SOURCES,
        "as_of": AS_OF.isoformat(),
        "page": str(tmp_path / "gate.html"),
    }
    result = subprocess.run(
        [sys.executable, "-c", GATE_IN_A_PROCESS],
        input=json.dumps(given), capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert "ADDRESSES []" in result.stdout
    page = (tmp_path / "gate.html").read_text(encoding="utf-8")
    with raw.connect() as connection:
        (stored,) = connection.execute(
            "select string_agg(results::text, ' ') from ops.gate_results as results"
        ).fetchone() or ("",)
    assert "total_not_negative" in stored
    for text in (result.stdout, result.stderr, page, stored):
        assert SECRET not in text
        assert "hunter2" not in text
        assert "mia.chen" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.html"]


def test_two_gates_at_once_do_not_disturb_each_other(raw: Warehouse) -> None:
    script = (
        "import sys, uuid; from datetime import datetime, UTC; "
        "from crmhouse.warehouse import Warehouse; import quality, json; "
        "given = json.loads(sys.argv[1]); "
        "report = quality.run_gate(Warehouse(given, True), 'raw', run_id=uuid.UUID(sys.argv[2]),"
        " sources={'shopify': ['shopify']}, as_of=datetime(2025, 4, 1, tzinfo=UTC)); "
        "assert report.passed"
    )
    runs = [uuid.uuid4(), uuid.uuid4()]
    processes = [
        subprocess.Popen([sys.executable, "-c", script, json.dumps(raw.parameters), str(run)])
        for run in runs
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    with raw.connect() as connection:
        stored = connection.execute("select count(distinct run_id) from ops.gate_results")
        assert stored.fetchone() == (2,)


def test_a_report_of_an_unreachable_warehouse_names_no_password(warehouse: Warehouse) -> None:
    gone = replace(
        warehouse, parameters={**warehouse.parameters, "dbname": "gone", "password": SECRET}
    )
    with pytest.raises(Exception, match="Cannot connect") as raised:
        quality.run_gate(gone, "raw", run_id=uuid.uuid4(), sources=SOURCES, as_of=AS_OF)
    assert "hunter2" not in str(raised.value)
