"""What Prefect would drop without a word, or notice too late, is refused at once."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from crmhouse.errors import ConfigurationError
from crmhouse.settings import Settings
from flows.deployment import automations, pool_template
from flows.deployment.deployments import entries, resources
from flows.deployment.difference import HIDDEN, compare
from flows.deployment.prefect_file import read_prefect_file
from flows.deployment.resources import Faults

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
ALERTS = (ROOT / "deployments" / "automations" / "alerts.yaml").read_text(encoding="utf-8")
PROCESS = ROOT / "deployments" / "work_pools" / "process.json"


def read(content: Any, folder: Path) -> Any:
    file = folder / "prefect.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), "utf-8")
    return read_prefect_file(file, {"zone": "Europe/Berlin"}.get)


@pytest.mark.parametrize(
    "place",
    [(), ("deployments", 0), ("deployments", 0, "schedules", 0),
     ("deployments", 0, "concurrency_limit"), ("deployments", 1, "work_pool")],
)  # fmt: skip
def test_a_misspelt_key_in_prefect_yaml_is_named_with_its_place(
    place: tuple[str | int, ...], tmp_path: Path
) -> None:
    wrong: Any = copy.deepcopy(FILE)
    inner = wrong
    for step in place:
        inner = inner[step]
    inner["tiemzone"] = "Etc/UTC"
    said = ".".join(map(str, (*place, "tiemzone")))
    with pytest.raises(ConfigurationError, match=rf"(?m)^  {said}: Prefect has no such key$"):
        read(wrong, tmp_path)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"sla": [{"name": "fast"}]}, r"deployments\.0\.sla: service level agreements"),
        ({"build": [{"step": {}}]}, r"deployments\.0\.build: this command builds nothing"),
        ({"push": [{"step": {}}]}, r"deployments\.0\.push: this command pushes nothing"),
        ({"schedule": {"cron": "1 * * * *"}}, r"deployments\.0\.schedule: write `schedules`"),
        ({"schedules": [{"cron": "1 * * * *"}]}, r"schedules\.0\.slug: Field required"),
        ({"schedules": [{"slug": "a"}]}, r"schedules\.0: .*one of cron, interval and rrule"),
        ({"tags": "crmhouse"}, r"tags: .*valid list"),
        ({"concurrency_limit": {"limit": 0}}, r"limit: .*greater than or equal to 1"),
        ({"concurrency_limit": {"limit": 1, "collision_strategy": "WAIT"}}, "'ENQUEUE'"),
        ({"work_pool": None}, r"work_pool: "),
        ({"description": "{{ $NOT_SET_ANYWHERE }}"}, "NOT_SET_ANYWHERE is not set"),
        ({"description": "{{ prefect.variables.nope }}"}, "no variable of this name"),
        ({"parameters": {"config": "{{ prefect.blocks.secret.x }}"}}, "cannot be filled in"),
        ({"version": "{{ build-image.tag }}"}, "cannot be filled in"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    entry: dict[str, Any], says: str, tmp_path: Path
) -> None:
    wrong = copy.deepcopy(FILE)
    wrong["deployments"][0] |= entry
    with pytest.raises(ConfigurationError, match=says):
        read(wrong, tmp_path)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"line 3.*name stands twice"):
        read("name: a\ndeployments:\n- name: x\n  name: y\n", tmp_path)


def test_variables_are_filled_in_and_blocks_are_left_to_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE", "7")
    content = copy.deepcopy(FILE)
    block = "{{ prefect.blocks.secret.warehouse-url }}"
    content["deployments"][0]["version"] = "v{{ $RELEASE }}"
    content["deployments"][0]["schedules"][0]["timezone"] = "{{ prefect.variables.zone }}"
    content["deployments"][0]["work_pool"]["job_variables"] = {"env": {"URL": block}}
    found = read(content, tmp_path).deployments[0]
    assert found.version == "v7"
    assert found.schedules[0].timezone == "Europe/Berlin"
    assert found.work_pool.job_variables == {"env": {"URL": block}}


def test_a_plan_hides_what_the_environment_filled_in_and_what_looks_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = "prefect.deployments.steps.git_clone"
    plans = []
    for number in "ab":
        monkeypatch.setenv("REGION", f"hush-{number}")
        env = dict.fromkeys(("PREFECT_API_AUTH_STRING", "STRIPE_KEY", "DB_PWD"), f"hush-{number}")
        env |= {"GIT": f"https://hush-{number}@x", "PLACE": "{{ $REGION }}", "LEVEL": number}
        entry = copy.deepcopy(FILE["deployments"][0]) | {
            "parameters": {"config": "x-{{ $REGION }}"},
            "pull": [{clone: {"repository": "https://{{ $REGION }}@x", "branch": number}}],
        }
        entry["work_pool"]["job_variables"] = {"env": env}
        found = read(FILE | {"deployments": [entry]}, tmp_path).deployments[0]
        made = [*resources(found, "refresh", None, Faults())]
        plans.append({one.key: one for one in made if one.kind == "deployment"})
    as_held = json.loads(json.dumps(plans[0]["deployment", "refresh/refresh"].fields))
    held = {key: dataclasses.replace(one, fields=as_held) for key, one in plans[0].items()}
    (change,) = compare(plans[1], held, prune=False).changes
    shown = {one.field: (one.old, one.new) for one in change.fields}
    assert "hush" not in repr(shown)
    assert shown["job_variables.env.LEVEL"] == ("a", "b")
    assert shown["job_variables.env.PLACE"] == (HIDDEN, HIDDEN)
    assert shown["pull_steps"] == (HIDDEN, [{clone: {"repository": HIDDEN, "branch": "b"}}])
    assert len(shown) == 8


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"entrypoint": "flows/refresh.py:refresh"}, "a flow is named by its module"),
        ({"entrypoint": "flows.refresh.refrehs"}, "cannot be imported"),
        ({"entrypoint": "flows.refrehs.refresh"}, "cannot be imported"),
        ({"entrypoint": "flows.tasks.step"}, "is not a flow"),
        ({"flow_name": "other"}, "the flow is called refresh"),
        ({"parameters": {"forse": True}}, "parameters.forse: the flow has config, force, accept"),
        ({"parameters": {"force": "perhaps"}}, "parameters: .*force"),
        ({"schedules": [{"slug": "a", "cron": "61 * * * *"}]}, "schedule a: .*cron"),
        ({"schedules": [{"slug": "a", "cron": "1 * * * *", "timezone": "Mars/Base"}]}, "timezone"),
        ({"schedules": [{"slug": "a", "interval": 0}]}, "a second at least"),
        ({"schedules": [{"slug": "a", "rrule": "FREQ=SOMETIMES"}]}, "rrule"),
        ({"schedules": [{"slug": "a", "interval": 60, "parameters": {"x": 1}}]}, "parameters.x"),
        ({"schedules": [{"slug": "a", "interval": 60}] * 2}, "the slug a stands twice"),
    ],
)  # fmt: skip
def test_what_a_flow_would_refuse_is_refused_now(
    entry: dict[str, Any], says: str, tmp_path: Path
) -> None:
    content = copy.deepcopy(FILE)
    content["deployments"][0] |= entry
    faults = Faults()
    list(resources(read(content, tmp_path).deployments[0], "refresh", None, faults))
    assert len(faults.found) == 1, faults.found
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(faults.found[0])


def test_a_source_with_a_schedule_needs_the_deployment_that_it_is_made_of(tmp_path: Path) -> None:
    content = copy.deepcopy(FILE)
    del content["deployments"][1]
    faults = Faults()
    source = {"name": "shop", "kind": "shopify_export", "schedule": "15m"}
    entries(read(content, tmp_path), Settings(sources=[source]), faults)
    assert "source shop: it has a schedule, but" in faults.found[0]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    trigger:\n", "    triger: {}\n    trigger:\n", "triger: Prefect has no such key"),
        ("      within: 10800", "      wihtin: 10800", "trigger.wihtin: Prefect has no such key"),
        ("        subject:", "        subjekt: x\n        subject:", r"actions\[0\].subjekt"),
        ("posture: Proactive", "posture: Patient", "trigger"),
        ("name: crmhouse-alert-quota", "name: quota", "must begin with crmhouse-"),
        (
            "{{ event.resource.id }}",
            "{{ event.resource.id }",
            r"actions\[0\]\.body, line 3: unexpected",
        ),
        ("automations:\n", "automation: []\nautomations:\n", "automation: there is no such key"),
    ],
)
def test_a_slip_in_an_automation_is_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert old in ALERTS
    (tmp_path / "a.yaml").write_text(ALERTS.replace(old, new, 1), encoding="utf-8")
    faults = Faults()
    automations.read_automations(tmp_path, ["custom-webhook/crmhouse-alerts-webhook"], faults)
    with pytest.raises(AssertionError, match=says):
        raise AssertionError("\n".join(faults.found))


def test_our_own_automations_have_no_faults_and_one_action_for_each_target() -> None:
    faults = Faults()
    folder = ROOT / "deployments" / "automations"
    targets = ["custom-webhook/a", "slack-webhook/b"]
    found = automations.read_automations(folder, targets, faults)
    assert faults.found == []
    (gate,) = (one for one in found if one.name == "crmhouse-alert-gate-failed")
    assert [action["block_document_id"] for action in gate.fields["actions"]] == targets


@pytest.mark.parametrize(
    ("place", "key", "value", "says"),
    [
        ((), "variabels", {}, "it must have job_configuration and variables"),
        (("job_configuration",), "comand", "x", "the process worker has no such key"),
        (("job_configuration",), "command", "{{ comand }}", "there is no variable comand"),
        (("variables", "properties"), "extra", {"type": "string"}, "nothing uses it"),
        (("variables", "properties", "name"), "defualt", "x", "JSON Schema has no such key"),
        (("variables", "properties", "name"), "type", "strng", "variables: Invalid schema"),
        (("variables", "properties", "stream_output"), "default", "maybe", "stream_output"),
    ],
)
def test_a_slip_in_a_pool_template_is_named(
    place: tuple[str, ...], key: str, value: object, says: str, tmp_path: Path
) -> None:
    template = json.loads(PROCESS.read_text(encoding="utf-8"))
    inner = template
    for step in place:
        inner = inner[step]
    inner[key] = value
    file = tmp_path / "process.json"
    file.write_text(json.dumps(template), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        pool_template.read_template(file, "process")


def test_job_variables_are_those_of_the_pool() -> None:
    template = pool_template.read_template(PROCESS, "process")
    assert not [*pool_template.variable_faults({"env": {"A": "b"}, "env.C": "d"}, template)]
    (fault,) = pool_template.variable_faults({"imgae": "x"}, template)
    assert fault.startswith("job_variables.imgae: the work pool has no such variable")
    assert [*pool_template.variable_faults({"stream_output": "maybe"}, template)]
