"""`crmhouse init`, `check` and `sources`."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from command_line import Cli, source
from project import KEYS
from roles import restricted_role
from stand_in import StandIn, standing_in

from crmhouse import checks
from ingestion.sources import KINDS
from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from crmhouse.warehouse import Warehouse

FX = {
    "name": "reference",
    "kind": "files",
    "options": {
        "path": ".",
        "streams": {"fx": {"glob": "*.csv", "key": ["month", "currency"]}},
    },
}


@pytest.fixture
def apis(exports: Path, tmp_path: Path) -> Iterator[StandIn]:
    with standing_in(exports, tmp_path, SYSTEMS) as running:
        yield running


def by(findings: list[dict[str, Any]], outcome: str) -> dict[str, str]:
    return {
        f"{finding['area']} {finding['about']}": finding["detail"]
        for finding in findings
        if finding["outcome"] == outcome
    }


def test_what_init_writes_passes_check_as_it_is(cli: Cli) -> None:
    cli("init")
    assert "crmhouse check" in cli.errors
    findings = cli.json("check")
    assert by(findings, "problem") == {}
    assert set(by(findings, "warning")) == {"sources -"}


def test_what_init_writes_becomes_a_whole_project_when_its_examples_are_switched_on(
    cli: Cli, exports: Path, apis: StandIn
) -> None:
    cli("init")
    file = cli.folder / "crmhouse.yaml"
    text = file.read_text()
    assert {f"kind: {kind}" for kind in KINDS} <= {
        line.strip("# ").split("  ")[0] for line in text.splitlines()
    }
    before, after = text.split("sources: []")
    examples, rest = after.split("\n# Where the monthly")
    examples = examples.replace("\n#", "\n").replace("exports_eu", "exports")
    examples = examples.replace("{token:", f"{{url: {apis.url}/hubspot, token:")
    examples = examples.replace("{api_key:", f"{{url: {apis.url}/stripe, api_key:")
    examples = examples.replace("shop: my-shop", f"url: {apis.url}/shopify")
    examples = examples.replace("https://acme.my.salesforce.com", f"{apis.url}/salesforce")
    examples = examples.replace("consumer-key", "key")
    text = f"{before}sources:{examples}\n#{rest.replace('#fx_rates', 'fx_rates')}"
    (cli.folder / "exports").symlink_to(exports)
    file.write_text(text)
    assert len(yaml.safe_load(text)["sources"]) == 11
    with closing(sqlite3.connect(cli.folder / "erp.db")) as erp:
        erp.execute("create table invoices (id integer primary key, updated_at datetime)")
    secrets = {
        "ERP_DATABASE_URL": "sqlite:///erp.db",
        "SALESFORCE_SECRET": KEYS["STAND_IN_SALESFORCE_CLIENT_SECRET"],
        "HUBSPOT_TOKEN": KEYS["STAND_IN_HUBSPOT_TOKEN"],
        "STRIPE_API_KEY": KEYS["STAND_IN_STRIPE_API_KEY"],
        "SHOPIFY_ACCESS_TOKEN": KEYS["STAND_IN_SHOPIFY_ACCESS_TOKEN"],
    }
    findings = cli.json("check", **secrets)
    assert by(findings, "problem") == {}
    assert by(findings, "warning") == {}
    assert by(findings, "ok")["sources shopify_eu"] == "shopify_export: orders"


def test_init_replaces_a_file_only_when_told_to(cli: Cli) -> None:
    cli.configure(reporting_currency="EUR")
    cli("init", expect=2)
    assert "--force" in cli.errors
    cli("init", "--force")
    assert "EUR" not in (cli.folder / "crmhouse.yaml").read_text()


def test_init_writes_where_it_is_told_to(cli: Cli) -> None:
    cli("--config", "deep/er/my.yaml", "init")
    cli("--config", "deep/er/my.yaml", "check")


def test_check_finds_every_problem_and_says_what_to_do(cli: Cli, exports: Path) -> None:
    cli.configure(
        fx_rates="reference.rates",
        sources=[
            source("salesforce", exports),
            source("stripe", cli.folder / "nowhere"),
            {"name": "odd", "kind": "fax"},
            {"name": "typo", "kind": "shopify_export", "options": {"pfad": "x"}},
            source("hubspot", exports, streams=["contacts", "visits"]),
            FX,
        ],
    )
    problems = by(cli.json("check", expect=2), "problem")
    assert problems.keys() == {
        "sources stripe", "sources odd", "sources typo", "sources hubspot", "sources reference",
        "fx_rates reference.rates",
    }  # fmt: skip
    assert "nowhere does not exist" in problems["sources stripe"]
    assert "Known kinds" in problems["sources odd"]
    assert "path" in problems["sources typo"]
    assert "no stream visits" in problems["sources hubspot"]
    assert "It has: fx" in problems["fx_rates reference.rates"]


def test_check_tells_a_configuration_that_cannot_be_read_in_json_too(cli: Cli) -> None:
    cli.configure(sources=[{"name": "s", "kind": "k", "options": {"password": "geheim"}}])
    (finding,) = cli.json("check", expect=2)
    assert finding["outcome"] == "problem"
    assert "literal secret" in finding["detail"]
    assert "geheim" not in finding["detail"]


def test_check_tells_a_warehouse_that_does_not_answer_as_a_failure(cli: Cli) -> None:
    url = "postgresql://me:geheim@127.0.0.1:1/db"
    problems = by(cli.json("check", expect=1, CRMHOUSE_WAREHOUSE_URL=url), "problem")
    assert "Cannot connect" in problems["warehouse connection"]
    assert "geheim" not in str(problems)


def test_check_tells_which_privilege_is_missing_and_how_to_give_it(
    cli: Cli, warehouse: Warehouse, exports: Path
) -> None:
    cli.configure(sources=[source("stripe", exports)])
    with restricted_role(warehouse) as restricted:
        role = restricted.parameters["user"]
        url = {"CRMHOUSE_WAREHOUSE_URL": restricted.url()}
        problems = by(cli.json("check", expect=1, **url), "problem")
        assert f"grant postgres to {role};" in problems["warehouse permissions"]
        cli("status", expect=1, **url)
        assert "permission denied for schema ops" in cli.errors
        assert "Traceback" not in cli.errors

        with warehouse.connect() as connection:
            connection.execute(f"grant usage on schema ops to {role}")
            connection.execute(f"grant select on all tables in schema ops to {role}")
        problems = by(cli.json("check", expect=1, **url), "problem")
        assert "grant create on database" in problems["warehouse permissions"]
        with warehouse.connect() as connection:
            connection.execute("create schema raw_stripe")
        findings = cli.json("check", **url)
        assert "each new source" in by(findings, "warning")["warehouse permissions"]


def test_the_installed_versions_are_those_that_work_together() -> None:
    assert [f for f in checks._versions() if f.outcome != "ok"] == []  # noqa: SLF001


@pytest.mark.parametrize(("version", "outcome"), [("2.0.99", "ok"), ("2.1.0b1", "problem")])
def test_versions_that_break_the_scheduler_are_a_problem(
    monkeypatch: pytest.MonkeyPatch, version: str, outcome: str
) -> None:
    monkeypatch.setattr(
        checks, "version", lambda name: version if name == "sqlalchemy" else metadata.version(name)
    )
    found = {f.about: f for f in checks._versions()}  # noqa: SLF001
    assert found["sqlalchemy"].outcome == outcome
    assert ("scheduled run" in found["sqlalchemy"].detail) == (outcome == "problem")


def test_sources_lists_what_is_configured(cli: Cli, exports: Path) -> None:
    cli.configure(sources=[source("stripe", exports, streams=["charges"], schedule="0 * * * *")])
    assert cli.json("sources") == [
        {
            "source": "stripe", "kind": "stripe_export", "streams": ["charges"],
            "raw_schema": "raw_stripe", "schedule": "0 * * * *",
        }
    ]  # fmt: skip
    assert "raw_stripe" in cli("sources")


def test_sources_lists_every_kind_with_its_options(cli: Cli) -> None:
    kinds = {kind["kind"]: kind for kind in cli.json("sources", "--kinds")}
    assert kinds.keys() == KINDS.keys()
    assert set(kinds["stripe_export"]["options"]) == {"path", "storage", "until"}
    assert "stripe_export" in cli("sources", "--kinds")
