from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = {".lock", ".md", ".py", ".sql", ".yml", ".yaml", ".toml"}
MARTS = {path.stem for path in (ROOT / "dbt/models/marts").rglob("*.sql")}
EXPECTED_MARTS = {
    "dim_customers", "dim_accounts", "customer_identities", "account_identities", "dim_fx_rates",
    "dim_dates", "fct_opportunities", "fct_opportunity_stage_visits", "fct_orders",
    "fct_order_lines", "fct_refunds", "fct_invoices", "fct_payments", "fct_subscriptions",
    "fct_mrr_monthly", "mrr_movements_monthly", "revenue_monthly", "pipeline_by_stage",
    "customer_360", "reconciliation",
}  # fmt: skip


def test_the_reference_pages_are_what_the_code_says() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate  # noqa: PLC0415  # the script is not a package
    finally:
        sys.path.pop(0)
    for name, content in generate.pages().items():
        page = ROOT / "docs" / "reference" / name
        assert page.read_text(encoding="utf-8") == content.rstrip() + "\n", (
            f"{name} is out of date: run python docs/generate.py"
        )


def test_every_direct_dependency_has_a_reason_and_every_reason_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[\[<>=~! ]", entry)[0] for entry in project["dependencies"]}
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| ([a-z0-9-]+) \|", text, re.MULTILINE)) - {"package", "---"}
    assert explained == declared


def test_every_mart_is_there_with_a_contract_and_a_description_of_every_column() -> None:
    assert MARTS == EXPECTED_MARTS
    described = {}
    for file in (ROOT / "dbt/models/marts").rglob("*.yml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        described.update({model["name"]: model for model in content.get("models", [])})
    assert described.keys() == MARTS
    dbt = yaml.safe_load((ROOT / "dbt/dbt_project.yml").read_text(encoding="utf-8"))
    assert dbt["models"]["crmhouse"]["marts"]["+contract"] == {"enforced": True}
    for name, model in described.items():
        kinds = [constraint["type"] for constraint in model.get("constraints", [])]
        kinds += [c["type"] for column in model["columns"] for c in column.get("constraints", [])]
        assert "primary_key" in kinds, name
        assert all(column.get("description") for column in model["columns"]), name


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_complaint_about_other_connectors_has_tests_that_exist() -> None:
    page = (ROOT / "docs/sources/README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert len(lines) == 17
    named: set[str] = set()
    for line in lines:
        *_, tests, _ = line.split(" |")
        found = re.findall(r"`(tests/\w+/\w+\.py::test_\w+)`", tests)
        assert found, line
        named |= {*found}
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *named],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert collected.returncode == 0, collected.stdout + collected.stderr
    assert {line.partition("[")[0] for line in collected.stdout.split("\n")} >= named


def test_every_automation_is_told_of_and_every_alert_has_what_to_do() -> None:
    recovery = (ROOT / "docs" / "recovery.md").read_text(encoding="utf-8")
    monitoring = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    names = {
        automation["name"]
        for file in (ROOT / "deployments" / "automations").glob("*.yaml")
        for automation in yaml.safe_load(file.read_text(encoding="utf-8"))["automations"]
    }
    headings = set(re.findall(r"^### (crmhouse-\S+)$", monitoring, re.MULTILINE))
    assert headings == {name for name in names if name.startswith("crmhouse-alert-")}
    assert set(re.findall(r"^\| `(crmhouse-\S+)` \|", recovery, re.MULTILINE)) == names - headings


def test_every_command_in_the_readme_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(
        re.findall(r"(?:^\$ |`)(?:\.venv/bin/)?crmhouse ([a-z][a-z ]*)", text, re.MULTILINE)
    )
    assert commands
    for command in commands:
        words = command.split()
        result = subprocess.run(
            [sys.executable, "-m", "crmhouse.cli", *words[:2], "--help"],
            capture_output=True, check=False,
        )  # fmt: skip
        if result.returncode:
            result = subprocess.run(
                [sys.executable, "-m", "crmhouse.cli", words[0], "--help"],
                capture_output=True, check=False,
            )  # fmt: skip
        assert result.returncode == 0, command


def test_dbt_has_no_init_file() -> None:
    assert not list((ROOT / "dbt").rglob("__init__.py"))


def test_nothing_names_the_machine_it_was_made_on() -> None:
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert files
    for name in files:
        path = ROOT / name
        if path.suffix in TEXTS and path.exists():
            text = path.read_text(encoding="utf-8")
            assert str(ROOT.parent) + "/" not in text or ROOT.parent == Path("/"), name
        if path.suffix == ".lock":
            assert "://" not in path.read_text(encoding="utf-8"), name
