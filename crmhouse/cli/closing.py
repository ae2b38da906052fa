"""The closing tables of `run` and `demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
from typing import TYPE_CHECKING

from crmhouse.cli.output import Table, show
from crmhouse.demo import BATCHES, KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from crmhouse.demo_truth import Comparison, Recognition
    from crmhouse.summary import Summary

_FIGURES = {
    "Customers": "{customers} resolved from {person_records} person records",
    "Accounts": "{accounts}",
    "Shop revenue, net": "{shop_net_usd} {currency} in {shop_orders} orders",
    "Subscription cash": "{subscription_cash_usd} {currency} in "
    "{subscription_invoices_paid} invoices",
    "Revenue": "{revenue_usd} {currency}, nothing counted twice",
    "MRR": "{mrr_usd} {currency} in {mrr_month}: {subscribed_customers} customers",
    "Open pipeline": "{open_pipeline_usd} {currency} in {open_opportunities} opportunities, "
    "{weighted_pipeline_usd} weighted",
    "Won": "{won_usd} {currency} in {won_opportunities} opportunities",
    "Reconciliation": "{reconciliation_difference_rows} rows and "
    "{reconciliation_difference_amount} of amounts unexplained in {reconciled_hops} hops",
}


def tables_of(summary: Summary) -> list[Table]:
    """Return what a run did and what the marts say after it."""
    tables = [_streams(summary), _headline(summary)]
    return [*tables, _gates(summary)] if summary.gates else tables


def tables_of_truth(comparisons: Sequence[Comparison], found: Recognition) -> list[Table]:
    """Return the comparison with the truth that the demo knows."""
    rows: list[tuple[str, str, str, str]] = [
        (c.figure, c.expected, c.found, "equal" if c.is_equal else "DIFFERENT") for c in comparisons
    ]
    rows.append(("identity, precision of pairs", "1", _share(found.precision), ""))
    rows.append(("identity, recall of pairs", "1", _share(found.recall), ""))
    return [Table("Compared with the truth", ("figure", "truth", "marts", ""), rows)]


def where_to_look(config: Path, url: str, port: str, gate_page: Path | None) -> Table:
    """Return where the demo's results are.

    Args:
        config: of the demo's project.
        url: of its warehouse.
        port: at which its configuration looks for the stand-ins.
        gate_page: of the last run.
    """
    folder, keys = (shlex.quote(str(path)) for path in (config.parent, config.parent / KEYS))
    # As it was called, where the shell would not find it by its name alone.
    program = "crmhouse" if shutil.which("crmhouse") else sys.argv[0]
    command = f"{program} --config {shlex.quote(str(config))}"
    rows = [
        ("the marts", f"{command} warehouse psql -c 'table marts.revenue_monthly'"),
        ("a BI tool", f"{command} warehouse start, then {url}"),
        ("the gates", str(gate_page) if gate_page else "-"),
        ("how all stands", f"{command} status"),
        ("the four systems", f"{program} simulate {folder} --port {port} --as-of {BATCHES[-1]} &"),
        ("run it again", f". {keys}; {command} run"),
        ("what each mart means", "docs/reference/marts.md"),
    ]
    return Table("Where to look next", ("what", "where"), rows)


def _streams(summary: Summary) -> Table:
    columns = (
        "stream", "records", "inserted", "updated", "unchanged", "deleted", "quarantined",
        "rows now",
    )  # fmt: skip
    shown = [s for s in summary.streams if s.extracted or s.rows or s.failed]
    rows = [
        (
            f"{s.source}.{s.stream}{' FAILED' if s.failed else ''}", s.extracted, s.inserted,
            s.updated, s.unchanged, s.deleted, s.quarantined, s.rows,
        )
        for s in shown
    ]  # fmt: skip
    empty = len(summary.streams) - len(shown)
    title = f"Rows per stream ({empty} others are empty)" if empty else "Rows per stream"
    return Table(title, columns, rows)


def _headline(summary: Summary) -> Table:
    known = {name: show(value) for name, value in summary.figures.items()}
    known["currency"] = summary.currency or ""
    known["mrr_month"] = known.get("mrr_month", "")[:7]
    rows = [("Run", _outcome(summary))]
    for title, text in _FIGURES.items():
        try:
            rows.append((title, text.format_map(known)))
        except KeyError:  # its mart is not published yet
            rows.append((title, "-"))
    as_of = f"{summary.as_of:%Y-%m-%d %H:%M} UTC" if summary.as_of else "-"
    return Table("In the marts", ("figure", f"as of {as_of}"), rows)


def _outcome(summary: Summary) -> str:
    """Say what the run did, on standard output too: a table without news looks like one with."""
    from crmhouse.pipeline import NOTHING_NEW

    said = summary.outcome or summary.status
    if said == NOTHING_NEW:
        said = f"{NOTHING_NEW}: no row of raw or marts changed"
    return f"{said}; partial: a stream failed" if summary.status == "partial" else said


def _gates(summary: Summary) -> Table:
    rows = [(gate.boundary, gate.passed, gate.failed, gate.warnings) for gate in summary.gates]
    return Table("Quality gates", ("boundary", "passed", "failed", "warnings"), rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
