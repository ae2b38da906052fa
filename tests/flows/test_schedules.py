"""The schedules of the sources, applied to the deployment on a real server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from prefect_server import PrefectServer

pytestmark = [
    pytest.mark.xdist_group("prefect-server"),
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("refreshed"),
]
NEW_YEAR, LEAP_DAY = "0 0 1 1 *", "0 0 29 2 *"  # nothing runs while the tests do


def apply(
    server: PrefectServer, folder: Path, schedules: Mapping[str, str], expect: int = 0
) -> str:
    sources = [
        {"name": name, "kind": "shopify_export", "options": {"path": "."}, "schedule": cron}
        for name, cron in schedules.items()
    ]
    config = folder / "crmhouse.yaml"
    config.write_text(yaml.safe_dump({"sources": sources}), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "flows.schedules", str(config)],
        cwd=folder, env=server.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == expect, result.stderr
    return result.stdout + result.stderr


def present(server: PrefectServer) -> dict[str, dict[str, Any]]:
    deployment = server.call("/deployments/name/sync-source/sync-source")
    return {schedule["slug"]: schedule for schedule in deployment["schedules"]}


def test_each_source_gets_its_schedule_and_loses_it_when_it_is_gone(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    assert "shop: 0 0 1 1 * (UTC)" in apply(
        prefect, tmp_path, {"shop": NEW_YEAR, "shop_emea": LEAP_DAY}
    )
    schedules = present(prefect)
    assert set(schedules) == {"source-shop", "source-shop-emea"}
    assert schedules["source-shop"]["schedule"]["cron"] == NEW_YEAR
    assert schedules["source-shop"]["parameters"] == {"source": "shop"}
    apply(prefect, tmp_path, {"shop": NEW_YEAR})
    assert set(present(prefect)) == {"source-shop"}


def test_a_paused_schedule_stays_paused_and_gets_its_source_and_its_new_time(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    apply(prefect, tmp_path, {"shop": NEW_YEAR})
    deployment = prefect.call("/deployments/name/sync-source/sync-source")
    schedule = present(prefect)["source-shop"]
    place = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
    prefect.call(place, {"active": False}, method="PATCH")
    apply(prefect, tmp_path, {"shop": NEW_YEAR})
    assert present(prefect)["source-shop"]["parameters"] == {"source": "shop"}
    apply(prefect, tmp_path, {"shop": LEAP_DAY})
    changed = present(prefect)["source-shop"]
    assert changed["schedule"]["cron"] == LEAP_DAY
    assert changed["active"] is False
    assert changed["parameters"] == {"source": "shop"}


def test_what_is_not_a_cron_expression_is_refused(prefect: PrefectServer, tmp_path: Path) -> None:
    said = apply(prefect, tmp_path, {"shop": "61 * * * *"}, expect=2)
    assert "Source shop: schedule '61 * * * *' is not a cron expression" in said
