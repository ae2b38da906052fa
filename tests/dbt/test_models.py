from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse.pipeline import write_context
from crmhouse.settings import Settings
from crmhouse.transform import build, build_for_identity, build_marts

if TYPE_CHECKING:
    from crmhouse.warehouse import Warehouse

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("dbt")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(home=tmp_path_factory.mktemp("dbt_home"))


@pytest.fixture(scope="module")
def built(module_warehouse: Warehouse, settings: Settings) -> Warehouse:
    """A warehouse whose marts were built without any source."""
    write_context(module_warehouse, settings, uuid.uuid4())
    build_for_identity(module_warehouse, settings)
    build_marts(module_warehouse, settings)
    return module_warehouse


def test_no_model_asks_the_cache_of_dbt_which_raw_tables_there_are() -> None:
    # It is filled table by table while other threads read it: a model that is told that its table
    # does not exist is empty.
    for file in (ROOT / "dbt").glob("m*/**/*.sql"):
        code = re.sub(r"\{#.*?#\}", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"(get|load|list)_relations?\(", code), file


def test_without_any_source_every_mart_is_there_and_empty(built: Warehouse) -> None:
    with built.connect() as connection:
        tables = connection.execute(
            "select tablename from pg_tables where schemaname = 'marts_build' order by 1"
        ).fetchall()
        filled = [
            name
            for (name,) in tables
            if connection.execute(f"select exists (select from marts_build.{name})").fetchone()
            == (True,)
        ]
    assert len(tables) == 20
    assert filled == ["dim_dates"]


def test_every_unit_test_of_the_models_passes(built: Warehouse, settings: Settings) -> None:
    run = build(built, settings, "unit_tests", ["--select", "test_type:unit"], verb="test")
    assert len(run.nodes) >= 53
    assert {node.status for node in run.nodes} <= {"pass", "success"}
