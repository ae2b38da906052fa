from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from quality_tables import AS_OF, CLEAN, SOURCES, multiply, schema_of

from crmhouse.errors import ConfigurationError, GateFailedError
from quality import require_known

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunGate

    from crmhouse.warehouse import Warehouse
    from quality import GateReport, GateResult


def _execute(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.connect() as connection:
        for statement in statements:
            connection.execute(statement)


def _failed(report: GateReport) -> dict[str, int | None]:
    return {f"{r.suite}/{r.expectation}": r.rows_failed for r in report.failures}


def _result(report: GateReport, suite: str, expectation: str) -> GateResult:
    (found,) = (r for r in report.results if (r.suite, r.expectation) == (suite, expectation))
    return found


def _fill(warehouse: Warehouse, table: str, rows: int) -> None:
    with warehouse.connect() as connection:
        multiply(connection, table, rows)


def test_each_failure_is_told_with_its_rows_and_a_query_that_shows_them(
    raw: Warehouse, gate: RunGate
) -> None:
    _fill(raw, "raw_shopify.orders", 49)
    _execute(
        raw,
        "update raw_shopify.orders set total_price = -1 where id > 1000025",
        "update raw_salesforce.opportunity set probability = 101",
        "update raw_stripe.charges set amount_refunded = amount + 1",
    )
    report = gate("raw")
    assert not report.passed
    assert _failed(report) == {
        "shopify.orders/total_not_negative": 25,
        "salesforce.opportunity/probability_in_range": 1,
        "stripe.charges/refund_within_amount": 1,
    }
    with raw.connect() as connection:
        for failure in report.failures:
            shown = connection.execute(failure.rows_query).fetchall()
            assert len(shown) == failure.rows_failed


def test_the_marts_gate_goes_red_for_each_kind_of_rule(marts: Warehouse, gate: RunGate) -> None:
    _execute(
        marts,
        "insert into marts_build.dim_dates select * from marts_build.dim_dates limit 2",
        "update marts_build.fct_order_lines set order_id = 'gone'",
        "update marts_build.fct_mrr_monthly set movement = 'moved' where month = '2025-02-01'",
        "update marts_build.fct_opportunities set account_id = null, is_closed = null"
        " where opportunity_id = 'o1'",
        "update marts_build.fct_payments set refunded_amount = 200",
        "update marts_build.reconciliation set difference_count = 1, source_count = 3",
        "update marts_build.mrr_movements_monthly set churn_usd = 10 where month = '2025-03-01'",
        "truncate marts_build.fct_invoices",
    )
    assert _failed(gate("marts")) == {
        "dim_dates/unique_day": 4,
        "dim_dates/no_gaps": 1,
        "fct_order_lines/order_known": 1,
        "fct_mrr_monthly/movement_known": 1,
        "fct_mrr_monthly/movement_has_its_sign": 1,
        "fct_opportunities/closed_known": 1,
        "fct_payments/refund_within_amount": 3,
        "reconciliation/no_row_lost": 1,
        "mrr_movements_monthly/identity": 1,
        "revenue_monthly/cash_agrees": 1,
    }


def test_the_error_of_a_red_gate_names_expectation_rows_query_and_page(
    raw: Warehouse, gate: RunGate, tmp_path: Path
) -> None:
    _execute(raw, "update raw_stripe.charges set amount = -1")
    page = tmp_path / "gate.html"
    with pytest.raises(GateFailedError) as raised:
        gate("raw").raise_for_failures(page)
    message = str(raised.value)
    assert "stripe.charges/amount_not_negative: 1 of 1 rows. No charge has a negative" in message
    assert "crmhouse run --accept stripe.charges/amount_not_negative" in message
    assert 'select * from "raw_stripe"."charges"' in message
    assert str(page) in message


def test_the_error_tells_ten_failures_and_counts_the_rest(gate: RunGate) -> None:
    with pytest.raises(GateFailedError, match="- and 1 more"):
        gate("raw", sources={**SOURCES, "files": ()}).raise_for_failures()


def test_a_warning_stops_nothing(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, "update raw_stripe.invoices set customer = 'cus_unknown'")
    report = gate("raw")
    assert report.passed
    assert [w.expectation for w in report.warnings] == ["customer_known"]


def test_a_missing_rate_is_a_warning_with_the_count(marts: Warehouse, gate: RunGate) -> None:
    _execute(marts, "update marts_build.fct_opportunities set amount_usd = null")
    warnings = {w.expectation: w.rows_failed for w in gate("marts").warnings}
    assert warnings["rate_found"] == 2


def test_a_missing_column_is_an_error_and_hides_no_other_result(
    raw: Warehouse, gate: RunGate
) -> None:
    _execute(
        raw,
        "alter table raw_salesforce.opportunity drop column probability",
        "update raw_salesforce.opportunity set created_date = null",
    )
    report = gate("raw")
    broken = _result(report, "salesforce.opportunity", "probability_in_range")
    assert (broken.status, broken.rows_failed) == ("error", None)
    assert "does not exist" in (broken.observed or "")
    other = _result(report, "salesforce.opportunity", "created_date_present")
    assert (other.status, other.rows_failed) == ("failed", 1)
    assert not report.passed


def test_a_warning_that_cannot_be_checked_turns_the_gate_red(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, "alter table raw_salesforce.account drop column annual_revenue")
    report = gate("raw")
    assert _failed(report) == {"salesforce.account/revenue_not_negative": None}


def test_a_missing_table_is_one_error(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, "drop table raw_hubspot.contacts")
    (failure,) = gate("raw").failures
    assert (failure.suite, failure.expectation) == ("hubspot.contacts", "table_exists")
    assert failure.status == "error"


def test_an_empty_table_of_a_configured_source_does_not_pass(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, *(f"truncate {schema_of(kind)}.{table}" for kind, table in CLEAN))
    report = gate("raw")
    empty = {name for name in _failed(report) if name.endswith("/not_empty")}
    assert empty == {
        "salesforce.account/not_empty", "salesforce.contact/not_empty",
        "salesforce.opportunity/not_empty", "hubspot.contacts/not_empty",
        "stripe.customers/not_empty", "shopify.customers/not_empty", "shopify.orders/not_empty",
        "reference.fx_rates_monthly/not_empty",
    }  # fmt: skip
    assert _result(report, "shopify.orders", "not_empty").observed == "0 rows"


def test_rows_that_the_source_deleted_are_not_checked(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_shopify.orders", 1)
    _execute(
        raw,
        "update raw_shopify.orders set total_price = -1, _deleted_at = now() where id = 11",
    )
    report = gate("raw")
    assert report.passed
    assert _result(report, "shopify.orders", "total_not_negative").rows_checked == 1


def test_a_source_that_is_not_configured_is_left_out(gate: RunGate) -> None:
    report = gate("raw", sources={"salesforce": ()})
    assert report.passed
    assert report.results == ()


def test_every_source_of_a_kind_is_checked(raw: Warehouse, gate: RunGate) -> None:
    _execute(
        raw,
        "create schema raw_shop_eu",
        "create table raw_shop_eu.orders as select * from raw_shopify.orders",
        "create table raw_shop_eu.customers as select * from raw_shopify.customers",
        "update raw_shop_eu.orders set currency = 'Euro'",
    )
    report = gate("raw", sources={"shopify": ["shopify", "shop_eu"]})
    assert _failed(report) == {"shop_eu.orders/currency_code": 1}


def test_streams_that_a_source_does_not_sync_are_left_out(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, "drop table raw_salesforce.opportunity, raw_salesforce.opportunity_history")
    report = gate(
        "raw",
        sources={"salesforce": ["salesforce"]},
        streams={"salesforce": ["account", "contact"]},
    )
    assert report.passed
    assert {r.suite for r in report.results} == {"salesforce.account", "salesforce.contact"}


@pytest.mark.usefixtures("raw")
def test_a_files_source_need_not_hold_exchange_rates(gate: RunGate) -> None:
    report = gate("raw", sources={"files": ["reference", "other_files"]})
    assert {r.suite for r in report.results} == {"reference.fx_rates_monthly"}


def test_a_result_that_no_gate_has_cannot_be_accepted() -> None:
    known = ["salesforce.account/not_empty", "dim_customers/volume_steady"]
    require_known(known, sources=SOURCES)
    with pytest.raises(ConfigurationError, match=r"expectation shop\.orders/nothing, x\. Write"):
        require_known([*known, "x", "shop.orders/nothing"], sources=SOURCES)


def test_a_result_that_a_person_accepts_becomes_a_warning(raw: Warehouse, gate: RunGate) -> None:
    _execute(raw, "update raw_stripe.charges set amount = -1, amount_refunded = null")
    accepted = gate("raw", accept=["stripe.charges/amount_not_negative"])
    assert accepted.passed
    assert [w.expectation for w in accepted.warnings] == ["amount_not_negative"]


def test_results_are_stored_and_those_of_the_same_run_replaced(
    raw: Warehouse, gate: RunGate
) -> None:
    run_id = uuid.uuid4()
    _execute(raw, "update raw_stripe.charges set amount = -1")
    gate("raw", run_id=run_id)
    _execute(raw, "update raw_stripe.charges set amount = 3000")
    report = gate("raw", run_id=run_id)
    with raw.connect() as connection:
        stored = connection.execute(
            "select suite, expectation, severity, status, rows_checked, rows_failed, observed,"
            " rows_query from ops.gate_results where run_id = %s",
            [run_id],
        ).fetchall()
    assert sorted(stored) == sorted(
        (r.suite, r.expectation, r.severity, r.status, r.rows_checked, r.rows_failed, r.observed,
         r.rows_query)
        for r in report.results
    )  # fmt: skip
    assert report.passed


@pytest.mark.usefixtures("raw")
def test_a_moment_without_offset_is_refused(gate: RunGate) -> None:
    with pytest.raises(ValueError, match="UTC offset"):
        gate("raw", as_of=AS_OF.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("change", "red"),
    [
        ("delete from raw_shopify.orders where id % 2 = 0", True),
        ("delete from raw_shopify.orders where id % 10 = 0", False),
        ("update raw_shopify.orders set _deleted_at = now() where id % 2 = 0", True),
        ("insert into raw_shopify.orders select * from raw_shopify.orders", True),
        ("insert into raw_shopify.orders select * from raw_shopify.orders where id % 2 = 0", False),
    ],
)
def test_a_jump_of_volume_turns_the_gate_red(
    raw: Warehouse, gate: RunGate, change: str, red: bool
) -> None:
    _fill(raw, "raw_shopify.orders", 999)
    only_shop = {"shopify": ["shopify"]}
    assert gate("raw", sources=only_shop).passed
    _execute(raw, change)
    report = gate("raw", sources=only_shop)
    assert set(_failed(report)) == ({"shopify.orders/volume_steady"} if red else set())


def test_a_jump_stays_red_until_it_is_accepted(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_shopify.orders", 999)
    only_shop = {"shopify": ["shopify"]}
    gate("raw", sources=only_shop)
    _fill(raw, "raw_shopify.orders", 1000)
    for _ in range(2):
        report = gate("raw", sources=only_shop)
        observed = _result(report, "shopify.orders", "volume_steady").observed
        assert observed == "2000, 1000 before; at least 800 and at most 1800 allowed"
        assert not report.passed
    assert gate("raw", sources=only_shop, accept=["shopify.orders/volume_steady"]).passed
    assert gate("raw", sources=only_shop).passed


def test_small_tables_may_jump(raw: Warehouse, gate: RunGate) -> None:
    gate("raw")
    _fill(raw, "raw_shopify.orders", 20)
    assert gate("raw").passed


def test_a_shifted_distribution_turns_the_gate_red(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_stripe.invoices", 999)
    only_stripe = {"stripe": ["stripe"]}
    assert gate("raw", sources=only_stripe).passed
    _execute(raw, "update raw_stripe.invoices set amount_paid = amount_paid / 100")
    assert set(_failed(gate("raw", sources=only_stripe))) == {"stripe.invoices/amounts_steady"}


def test_a_collapse_of_a_filled_column_turns_the_gate_red(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_hubspot.contacts", 999)
    assert gate("raw").passed
    _execute(raw, "update raw_hubspot.contacts set property_email = null where id <> '1'")
    assert set(_failed(gate("raw"))) == {"hubspot.contacts/email_filled_steady"}


def test_a_sync_that_stalled_turns_the_gate_red(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_shopify.orders", 299)
    daily = "update raw_shopify.orders set created_at = '2024-01-01Z', updated_at = "
    _execute(raw, daily + "'2025-03-31Z'::timestamptz - (id % 90) * interval '1 day'")
    only_shop = {"shopify": ["shopify"]}
    assert gate("raw", sources=only_shop).passed
    late = gate("raw", sources=only_shop, as_of=AS_OF + timedelta(days=14))
    assert set(_failed(late)) == {"shopify.orders/not_stalled"}
    found = _result(late, "shopify.orders", "not_stalled").observed
    assert found == "15.0 days since the newest"


def test_a_source_where_little_happens_has_not_stalled(raw: Warehouse, gate: RunGate) -> None:
    _fill(raw, "raw_shopify.orders", 299)
    rare = "update raw_shopify.orders set created_at = '2024-01-01Z', updated_at = "
    _execute(raw, rare + "'2025-03-31Z'::timestamptz - (id % 10) * interval '12 days'")
    report = gate("raw", sources={"shopify": ["shopify"]}, as_of=AS_OF + timedelta(days=14))
    assert report.passed
    assert [w.expectation for w in report.warnings] == ["fresh"]


def test_thirty_clean_days_raise_no_false_alarm(raw: Warehouse, gate: RunGate) -> None:
    only_shop = {"shopify": ["shopify"]}
    _fill(raw, "raw_shopify.orders", 999)
    for day in range(30):
        with raw.connect() as connection:
            connection.execute(
                """
                insert into raw_shopify.orders (id, created_at, updated_at, test, currency,
                    total_price, total_tax, financial_status, line_items, refunds)
                select
                    10000000 + %(day)s * 1000 + number, moment, moment, false, 'EUR',
                    50 + (number * 37 + %(day)s * 11) %% 101, 1, 'paid', '[]', '[]'
                from generate_series(1, 15 + %(day)s %% 7) as number,
                    cast(%(as_of)s + %(day)s * interval '1 day' as timestamptz) as moment
                """,
                {"day": day, "as_of": AS_OF},
            )
        report = gate("raw", sources=only_shop, as_of=AS_OF + timedelta(days=day + 1))
        assert [(f.expectation, f.observed) for f in report.failures] == []
