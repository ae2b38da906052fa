"""`crmhouse demo`: from nothing to a project that is right to the cent, and can be used on."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse import demo, demo_truth
from crmhouse.embedded import EmbeddedServer
from crmhouse.errors import AlreadyRunningError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from command_line import Cli

    from crmhouse.warehouse import Warehouse

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def demo_cli(embedded_cli: Cli) -> Iterator[Cli]:
    """Commands whose demo folder leaves no server behind."""
    yield embedded_cli
    server = EmbeddedServer.of(embedded_cli.folder / "demo" / ".crmhouse")
    if server.data.exists():
        server.stop()
        shutil.rmtree(server.data.parent, ignore_errors=True)


def test_the_demo_prints_what_the_readme_shows_and_its_folder_is_a_project_afterwards(
    demo_cli: Cli,
) -> None:
    (shown,) = re.findall(r"```\n(Rows per stream.*?)\n```", README, re.DOTALL)
    assert shown.count("  equal") == 9
    assert "DIFFERENT" not in shown
    said = demo_cli("demo")
    assert shown in "\n".join(line.rstrip() for line in said.splitlines())
    assert demo_cli.errors.count("9 of 9 figures as in truth") == 2

    project = ("--config", "demo/crmhouse.yaml")
    keys = {
        name: value
        for line in (demo_cli.folder / "demo" / demo.KEYS).read_text().splitlines()
        if (found := re.fullmatch(r"export (DEMO_\w+)=(.*)", line))
        for name, value in [(found[1], "".join(shlex.split(found[2])))]
    }
    assert "nothing listens there" in demo_cli(*project, "check", expect=2, **keys)
    with serving(demo_cli):
        demo_cli(*project, "check", **keys)
        text = demo_cli(*project, "run", **keys)
    assert "nothing new: no row of raw or marts changed" in text
    assert "Quality gates" not in text  # it had nothing to check
    assert re.findall(r"^Revenue .*$", text, re.MULTILINE) == re.findall(
        r"^Revenue .*$", shown, re.MULTILINE
    )
    # What only looks needs no keys.
    ((question, answer),) = re.findall(
        r"\$ \.venv/bin/crmhouse (.*warehouse psql.*)\n([^`]*)\n```", README
    )
    found = demo_cli(*shlex.split(question))
    assert answer in "\n".join(line.rstrip() for line in found.splitlines())
    status = demo_cli.json(*project, "status")
    assert [run["outcome"] for run in status["runs"]] == ["nothing new", "published", "published"]
    assert len(status["marts"]) == 20


@contextmanager
def serving(demo_cli: Cli) -> Iterator[None]:
    """Start the stand-ins as the demo's configuration says."""
    config = (demo_cli.folder / "demo" / "crmhouse.yaml").read_text()
    (command,) = re.findall(r"^#   crmhouse (simulate .*)$", config, re.MULTILINE)
    with subprocess.Popen(
        [sys.executable, "-m", "crmhouse.cli", *shlex.split(command)],
        cwd=demo_cli.folder, env=demo_cli.environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            assert process.stdout.readline().startswith("http://127.0.0.1")
            yield
        finally:
            process.terminate()


def test_the_demo_does_not_write_into_a_warehouse_that_is_not_its_own(cli: Cli) -> None:
    cli("demo", expect=2)
    assert "CRMHOUSE_WAREHOUSE_URL is set" in cli.errors
    assert not (cli.folder / "demo").exists()


def test_a_folder_that_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("important")
    with pytest.raises(ConfigurationError, match="--folder"):
        demo.prepare_folder(tmp_path)
    (tmp_path / "crmhouse.yaml").write_text("sources: []")
    with pytest.raises(ConfigurationError, match="--folder"):
        demo.prepare_folder(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "important"


def test_an_earlier_demo_is_cleared_away_but_not_while_it_is_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo.prepare_folder(folder)
    (folder / "batch_1").mkdir()
    server = EmbeddedServer.of(folder / ".crmhouse")
    with server.use(), pytest.raises(AlreadyRunningError, match="in use"):
        demo.prepare_folder(folder)
    demo.prepare_folder(folder)
    assert not server.data.exists()
    assert not (folder / "batch_1").exists()
    shutil.rmtree(server.data.parent, ignore_errors=True)


@pytest.fixture
def books(warehouse: Warehouse, tmp_path: Path) -> Path:
    """Marts of one order, one subscription and one deal, and a truth that agrees."""
    with warehouse.connect() as connection:
        connection.execute(
            """
            create table marts.revenue_monthly as
            select date '2025-01-01' as month, 1 as shop_orders, 10.004 as shop_net_usd,
                2 as subscription_invoices_paid, 5.5 as subscription_cash_usd;
            create table marts.mrr_movements_monthly as
            select date '2025-01-01' as month, 99.999 as mrr_end_usd;
            create table marts.pipeline_by_stage as select 'Won' as stage, 7.0 as amount_usd;
            create table marts.fct_opportunities as select true as is_won, true as is_closed;
            create table marts.customer_identities as
            select * from (values
                ('salesforce', 'Contact', '1', 'A'), ('hubspot', 'contacts', '2', 'A'),
                ('stripe', 'customers', '3', 'A'), ('shopify', 'customers', '4', 'B')
            ) as rows (source_system, source_object, source_id, customer_id)
            """
        )
    files = {
        "expected.json": '{"b": {"shop_orders_net": 1, "shop_net_usd": "10.00", "won": 1, '
        '"lost": 0, "subscription_invoices_paid": 2, "subscription_cash_usd": "5.50"}}',
        "monthly_shop_net_usd_b.csv": "month,net_usd_utc_month\n2024-12,0.00\n2025-01,10.00\n",
        "mrr_eom_usd_b.csv": "month,mrr_usd\n2025-01,100.00\n",
        "pipeline_b.csv": "stage,amount_usd_at_month_of_last_stage_change\nWon,7.00\n",
        "identity_xref.csv": "system,object,source_id,truth_id\nsalesforce,Contact,1,P\n"
        "hubspot,contacts,2,P\nstripe,customers,3,Q\nshopify,customers,4,P\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_figures_that_agree_to_the_cent_are_equal(warehouse: Warehouse, books: Path) -> None:
    comparisons = demo_truth.compare(warehouse, books, "b")
    assert len(comparisons) == 9
    assert [c for c in comparisons if not c.is_equal] == []


def test_one_cent_in_one_month_is_a_difference_that_is_named(
    warehouse: Warehouse, books: Path
) -> None:
    with warehouse.connect() as connection:
        connection.execute("update marts.revenue_monthly set shop_net_usd = 10.01")
    wrong = {c.figure: c.found for c in demo_truth.compare(warehouse, books, "b") if not c.is_equal}
    assert wrong == {
        "shop_net_usd": "10.01",
        "monthly_shop_net_usd, 2 points": "1 equal (differs at 2025-01)",
    }


def test_recognition_counts_pairs(warehouse: Warehouse, books: Path) -> None:
    # Joined: 1-2, 1-3, 2-3, of which 1-2 is right. Belonging together: 1-2, 1-4, 2-4.
    assert demo_truth.recognition(warehouse, books) == demo_truth.Recognition(1 / 3, 1 / 3)
    with warehouse.connect() as connection:
        connection.execute("delete from marts.customer_identities")
    assert demo_truth.recognition(warehouse, books) == demo_truth.Recognition(None, None)
