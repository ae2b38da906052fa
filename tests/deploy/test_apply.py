"""A deploy on a real server: what it makes, what it leaves alone, and what it takes back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import ConfigurationError, OrchestratorError
from flows.deployment import FieldChange

if TYPE_CHECKING:
    from conftest import Project
    from recording_proxy import Way

pytestmark = [pytest.mark.xdist_group("deploy"), pytest.mark.timeout(600)]
LEAP_DAY = "0 0 29 2 *"


def test_a_bare_server_gets_everything_that_is_declared(project: Project) -> None:
    made = {(change.action, change.kind) for change in project.apply().changes}
    assert made == {("create", kind) for kind in (
        "work pool", "concurrency limit", "flow", "deployment", "schedule", "automation"
    )}  # fmt: skip
    pool = project.server.call("/work_pools/crmhouse")
    assert pool["type"] == "process"
    env = pool["base_job_template"]["variables"]["properties"]["env"]["default"]
    assert env["DO_NOT_TRACK"] == "1"
    limit = project.server.call("/v2/concurrency_limits/source-shop_emea")
    assert (limit["limit"], limit["active"]) == (2, True)
    source = project.deployment("sync-source/shop_emea")
    assert source["parameters"] == {"config": None, "streams": None, "source": "shop_emea"}
    assert source["global_concurrency_limit"]["limit"] == 1
    assert source["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert source["parameter_openapi_schema"]["properties"]["source"]["type"] == "string"
    assert source["entrypoint"] == "flows.sync.sync_source"
    assert source["work_pool_name"] == "crmhouse"
    assert source["tags"] == ["crmhouse"]
    (schedule,) = source["schedules"]
    assert schedule["schedule"]["interval"] == 43_200
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert schedule["parameters"] == {}
    (schedule,) = project.deployment("sync-source/shop")["schedules"]
    assert schedule["schedule"]["cron"] == "0 0 1 1 *"
    names = {one["name"] for one in project.server.call("/automations/filter", {})}
    assert {"crmhouse-alert-gate-failed", "crmhouse-alert-no-refresh"} <= names


def test_the_second_time_nothing_is_written(project: Project) -> None:
    project.apply()
    times, made = project.updated(), len(project.held())
    project.proxy.reset()
    second = project.apply()
    assert second.changes == ()
    assert second.unchanged >= 15
    assert project.proxy.writes == []
    assert project.updated() == times
    assert len(project.held()) == made


def test_the_plan_of_a_changed_file_shows_the_change_and_nothing_else(project: Project) -> None:
    assert project.plan().unchanged == 0
    project.apply()
    project.entry("refresh")["schedules"][0]["cron"] = LEAP_DAY
    project.proxy.reset()
    (change,) = project.plan(prune=True).changes
    assert (change.action, change.kind, change.name) == (
        "change", "schedule", "refresh/refresh/hourly",
    )  # fmt: skip
    assert change.fields == (FieldChange("cron", "0 0 1 1 *", LEAP_DAY),)
    assert project.proxy.writes == []
    project.apply()
    assert len(project.proxy.writes) == 1
    assert project.plan().changes == ()


def test_changes_of_every_kind_are_seen_field_by_field(project: Project) -> None:
    project.apply()
    project.config["sources"][0]["parallel_slices"] = 9
    project.config["orchestration"]["work_pool_limit"] = 5
    orchestration = project.config["orchestration"]
    orchestration["work_queues"] = {"slow": {"priority": 3, "limit": 2}, "soon": {"priority": 2}}
    refresh = project.entry("refresh")
    refresh["parameters"]["force"] = True
    refresh["concurrency_limit"]["limit"] = 2
    refresh["work_pool"]["work_queue_name"] = "slow"
    refresh["work_pool"]["job_variables"]["env"]["TZ"] = "UTC"
    automations = project.folder / "automations" / "alerts.yaml"
    text = automations.read_text(encoding="utf-8")
    automations.write_text(text.replace("within: 10800", "within: 7200"), encoding="utf-8")
    plan = project.plan()
    seen = {
        (change.kind, change.name): {f.field: (f.old, f.new) for f in change.fields}
        for change in plan.changes
    }
    assert seen == {
        ("work pool", "crmhouse"): {"concurrency_limit": (None, 5)},
        ("work queue", "crmhouse/soon"): {},
        ("work queue", "crmhouse/slow"): {},
        ("concurrency limit", "source-shop"): {"limit": (4, 9)},
        ("deployment", "refresh/refresh"): {
            "parameters.force": (False, True),
            "concurrency.limit": (1, 2),
            "work_queue_name": ("default", "slow"),
            "job_variables.env.TZ": ("(nothing)", "UTC"),
        },
        ("automation", "crmhouse-alert-no-refresh"): {"trigger.within": (10800.0, 7200.0)},
    }
    project.apply()
    assert project.plan().changes == ()
    queue = project.server.call("/work_pools/crmhouse/queues/slow")
    assert (queue["priority"], queue["concurrency_limit"]) == (3, 2)
    # A limit is taken back, and a queue before the others moves them for a moment only.
    numbers = {"slow": 3, "first": 1, "soon": 2}
    orchestration["work_queues"] = {name: {"priority": one} for name, one in numbers.items()}
    project.apply()
    assert project.plan().changes == ()
    queue = project.server.call("/work_pools/crmhouse/queues/slow")
    assert (queue["priority"], queue["concurrency_limit"]) == (3, None)


def test_prune_removes_what_is_ours_and_gone_and_nothing_else(project: Project) -> None:
    project.apply()
    server = project.server
    flow = server.call("/flows/", {"name": "somebody-elses"})
    server.call("/deployments/", {"name": "theirs", "flow_id": flow["id"]})
    server.call("/v2/concurrency_limits/", {"name": "theirs", "limit": 1})
    refresh = project.deployment("refresh/refresh")
    by_hand = {"schedule": {"cron": LEAP_DAY}, "active": True}
    server.call(f"/deployments/{refresh['id']}/schedules", [by_hand])
    automation = server.call("/automations/filter", {})[0]
    kept = {key: automation[key] for key in ("trigger", "actions")}
    server.call("/automations/", {"name": "theirs", **kept})
    project.config["sources"].pop()
    (project.folder / "automations" / "alerts.yaml").write_text("automations: []")
    assert project.apply().changes == ()
    assert len(project.plan().left) == 9
    removed = {(one.action, one.kind, one.name) for one in project.apply(prune=True).changes}
    assert {
        ("remove", "deployment", "sync-source/shop_emea"),
        ("remove", "schedule", "sync-source/shop_emea/own"),
        ("remove", "concurrency limit", "source-shop_emea"),
        ("remove", "automation", "crmhouse-alert-quota"),
    } <= removed
    assert {action for action, _, _ in removed} == {"remove"}
    held = project.held()
    assert ("deployment", "somebody-elses/theirs") in held
    assert ("concurrency limit", "theirs") in held
    assert ("automation", "theirs") in held
    assert len(project.deployment("refresh/refresh")["schedules"]) == 2
    assert ("deployment", "sync-source/shop_emea") not in held


def test_what_an_operator_paused_stays_paused_over_a_change(project: Project) -> None:
    project.apply()
    server = project.server
    deployment = project.deployment("sync-source/shop")
    place = f"/deployments/{deployment['id']}"
    server.call(f"{place}/pause_deployment", {})
    schedule = deployment["schedules"][0]["id"]
    server.call(f"{place}/schedules/{schedule}", {"active": False}, method="PATCH")
    server.call("/work_pools/crmhouse", {"is_paused": True}, method="PATCH")
    server.call("/v2/concurrency_limits/source-shop", {"active": False}, method="PATCH")
    name = "crmhouse-alert-quota"
    (quota,) = (one for one in server.call("/automations/filter", {}) if one["name"] == name)
    server.call(f"/automations/{quota['id']}", {"enabled": False}, method="PATCH")
    plan = project.apply()
    assert plan.changes == ()
    assert set(plan.paused) == {
        "work pool crmhouse", "concurrency limit source-shop", "deployment sync-source/shop",
        "schedule sync-source/shop/own", f"automation {name}",
    }  # fmt: skip
    project.config["sources"][0] |= {"schedule": LEAP_DAY, "parallel_slices": 3}
    project.config["orchestration"]["work_pool_limit"] = 3
    project.entry("sync-source")["parameters"]["streams"] = ["orders"]
    file = project.folder / "automations" / "alerts.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("within: 21600", "within: 7200"), encoding="utf-8")
    assert len(project.apply().changes) == 7
    deployment = project.deployment("sync-source/shop")
    assert deployment["paused"] is True
    assert deployment["parameters"]["streams"] == ["orders"]
    assert deployment["schedules"][0]["active"] is False
    assert deployment["schedules"][0]["schedule"]["cron"] == LEAP_DAY
    assert server.call("/work_pools/crmhouse")["is_paused"] is True
    assert server.call("/v2/concurrency_limits/source-shop")["active"] is False
    quota = server.call(f"/automations/{quota['id']}")
    assert quota["enabled"] is False
    assert quota["trigger"]["within"] == 7200


def test_a_number_that_somebody_changed_by_hand_is_shown_and_put_back(project: Project) -> None:
    project.apply()
    project.server.call("/v2/concurrency_limits/source-shop", {"limit": 1}, method="PATCH")
    (change,) = project.plan().changes
    assert change.fields == (FieldChange("limit", 1, 4),)
    project.apply()
    assert project.server.call("/v2/concurrency_limits/source-shop")["limit"] == 4


@pytest.mark.parametrize("way", ["refused", "answer lost"])
@pytest.mark.parametrize("number", [1, 8])
def test_a_change_that_fails_takes_back_those_before_it(
    project: Project, way: Way, number: int
) -> None:
    before = project.held()
    project.proxy.reset(number, way)
    project.retries = 0
    with pytest.raises(OrchestratorError, match="Everything is as it was before"):
        project.apply()
    assert project.held() == before


def test_what_somebody_else_made_meanwhile_is_not_taken_back(project: Project) -> None:
    project.proxy.reset(1, "came second")
    with pytest.raises(OrchestratorError, match=r"with 409: .* it stays as it is"):
        project.apply()
    assert project.server.call("/work_pools/crmhouse")["type"] == "process"


def test_an_answer_that_nobody_foresaw_takes_back_what_was_done(project: Project) -> None:
    before = project.held()
    project.proxy.reset(3, "strange answer")
    with pytest.raises(TypeError) as error:
        project.apply()
    assert error.value.__notes__ == ["Everything is as it was before."]
    assert project.held() == before


@pytest.mark.parametrize("way", ["refused", "answer lost"])
def test_changes_and_removals_are_taken_back_too(project: Project, way: Way) -> None:
    project.apply()
    place = project.deployment("sync-source/shop_emea")["id"]
    project.server.call(f"/deployments/{place}/pause_deployment", {})
    before = project.held()
    config, file = copy.deepcopy(project.config), copy.deepcopy(project.file)
    project.config["sources"][0] |= {"schedule": LEAP_DAY, "parallel_slices": 3}
    project.config["sources"].pop()
    project.entry("refresh")["parameters"]["force"] = True
    project.proxy.reset()
    count = len(project.plan(prune=True).changes)
    project.proxy.reset(count, way)  # the last one
    project.retries = 0
    with pytest.raises(OrchestratorError, match="Everything is as it was before"):
        project.apply(prune=True)
    assert project.held() == before
    project.config, project.file = config, file
    assert project.plan(prune=True).changes == ()


def test_a_server_that_goes_away_is_told_and_the_next_deploy_goes_on(project: Project) -> None:
    wanted = len(project.plan().changes)
    project.proxy.reset(6, "server gone")
    project.retries = 0
    with pytest.raises(OrchestratorError, match="could be undone") as error:
        project.apply()
    assert "create work pool crmhouse" in str(error.value)
    project.proxy.reset()
    project.retries = 3
    assert 0 < len(project.apply().changes) < wanted
    assert project.plan().changes == ()


def test_a_pool_of_another_type_is_refused(project: Project) -> None:
    project.apply()
    project.config["orchestration"]["work_pool_type"] = "docker"
    with pytest.raises(ConfigurationError, match="is of type process"):
        project.apply()


def test_two_automations_of_one_name_become_one(project: Project) -> None:
    project.apply()
    automation = project.server.call("/automations/filter", {})[0]
    kept = ("name", "description", "tags", "trigger", "actions")
    project.server.call("/automations/", {key: automation[key] for key in kept})
    (change,) = project.apply().changes
    assert change.fields[-1] == FieldChange("copies", 2, 1)
    assert project.plan().changes == ()
    found = project.server.call("/automations/filter", {})
    assert [one["name"] for one in found].count(automation["name"]) == 1


def test_what_prefect_itself_has_deployed_is_taken_over(project: Project) -> None:
    project.apply()
    with_pool = project.held()
    project.write()
    project.server.prefect("--no-prompt", "deploy", "--all", cwd=project.folder)
    plan = project.plan()
    # Prefect's own deploy says nothing of a version, and everything else as we do.
    assert {(change.kind, field.field) for change in plan.changes for field in change.fields} == {
        ("deployment", "version")
    }
    project.apply()
    assert project.held() == with_pool
