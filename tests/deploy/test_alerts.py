"""An event leads to a call of a webhook and to an e-mail, from a real server to real receivers."""

from __future__ import annotations

import asyncio
import email
import json
import queue
import socket
import threading
import uuid
from datetime import UTC, datetime
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from prefect_server import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage

    from conftest import Project

pytestmark = [pytest.mark.xdist_group("deploy"), pytest.mark.timeout(600)]
TO = "on-call@example.com"


class Mails:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message = email.message_from_bytes(envelope.content, policy=default)
        self.taken.append((envelope.rcpt_tos, message))
        return "250 OK"


@pytest.fixture
def mails() -> Iterator[tuple[Mails, int]]:
    handler = Mails()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield handler, port
    finally:
        # Prefect's connection ends after its mail has arrived.
        wait_for(lambda: not asyncio.all_tasks(controller.loop), seconds=30, what="its goodbye")
        controller.stop()


@pytest.fixture
def calls() -> Iterator[tuple[queue.Queue[tuple[str, dict[str, str]]], int]]:
    taken: queue.Queue[tuple[str, dict[str, str]]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            taken.put((self.path, content))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield taken, server.server_port
        server.shutdown()


@pytest.fixture
def targets(
    project: Project,
    mails: tuple[Mails, int],
    calls: tuple[queue.Queue[Any], int],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    monkeypatch.setenv("ALERTS_URL", f"http://127.0.0.1:{calls[1]}/hook?key=hush")
    project.config["orchestration"]["notifications"] = {
        "webhook": "${ALERTS_URL}",
        "mail": {
            "host": "127.0.0.1", "port": mails[1], "security": "none",
            "sender": "crmhouse@example.com", "to": [TO],
        },
    }  # fmt: skip
    return project


def emit(project: Project, event: str, resource: dict[str, str], **rest: Any) -> None:
    project.server.call("/events", [{
        "id": str(uuid.uuid4()), "event": event, "resource": resource,
        "occurred": datetime.now(UTC).isoformat(), **rest,
    }])  # fmt: skip


def test_an_event_becomes_a_call_and_a_mail_that_say_what_happened_and_where_to_look(
    targets: Project, mails: tuple[Mails, int], calls: tuple[queue.Queue[Any], int]
) -> None:
    targets.apply()
    emit(
        targets, "crmhouse.gate.failed", {"prefect.resource.id": "crmhouse.warehouse.sales"},
        payload={"boundary": "marts", "expectations": 2},
    )  # fmt: skip
    path, called = calls[0].get(timeout=120)
    assert path == "/hook?key=hush"
    assert called["subject"] == "crmhouse: gate failed, crmhouse.warehouse.sales"
    wait_for(lambda: mails[0].taken, seconds=60, what="the mail")
    ((recipients, message),) = mails[0].taken
    assert recipients == [TO]
    assert message["subject"] == called["subject"]
    body = message.get_body(("plain",))
    assert body
    for text in (called["text"], body.get_content()):
        assert "A quality gate is red. The published marts are as they were before." in text
        assert "boundary: marts" in text
        assert "expectations: 2" in text
        assert "Where to look: crmhouse status" in text
        assert "{{" not in text


def test_a_failed_run_is_told_with_its_name_and_address(
    targets: Project, calls: tuple[queue.Queue[Any], int]
) -> None:
    targets.apply()
    run = fail(targets, "refresh/refresh", "Failed", "FAILED")
    _, called = calls[0].get(timeout=120)
    assert called["subject"] == f"crmhouse: {run['name']} has failed (Failed)"
    assert f"Run: {run['name']} of the flow refresh, deployment refresh" in called["text"]
    assert run["id"] in called["text"]
    assert "a value that nobody may see" not in called["text"]


@pytest.mark.parametrize(("tries", "told"), [(0, True), (1, False), (3, False), (4, True)])
def test_a_crash_is_told_when_the_run_is_not_resumed(
    targets: Project, calls: tuple[queue.Queue[Any], int], tries: int, told: bool
) -> None:
    targets.apply()
    crash(targets, tries)
    # What comes after it says that there was time enough.
    emit(targets, "crmhouse.gate.failed", {"prefect.resource.id": f"crmhouse.warehouse.t{tries}"})
    subjects = [calls[0].get(timeout=120)[1]["subject"]]
    if told:
        subjects.append(calls[0].get(timeout=120)[1]["subject"])
    assert any("is given up" in subject for subject in subjects) is told


def test_without_a_target_an_automation_only_marks(project: Project) -> None:
    project.apply()
    name = "crmhouse-alert-gate-failed"
    (gate,) = (one for one in project.server.call("/automations/filter", {}) if one["name"] == name)
    assert [action["type"] for action in gate["actions"]] == ["do-nothing"]
    emit(project, "crmhouse.gate.failed", {"prefect.resource.id": "crmhouse.warehouse.marked"})
    wanted = {"filter": {"resource": {"id": [f"prefect.automation.{gate['id']}"]}}, "limit": 50}

    def seen() -> set[str]:
        return {event["event"] for event in project.server.call("/events/filter", wanted)["events"]}

    done = "prefect.automation.action.executed"
    wait_for(lambda: done in seen(), seconds=120, what="the mark")
    assert "prefect.automation.triggered" in seen()
    assert "prefect.automation.action.failed" not in seen()


def test_no_news_is_an_alert(targets: Project, calls: tuple[queue.Queue[Any], int]) -> None:
    file = targets.folder / "automations" / "alerts.yaml"
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    (alert,) = (one for one in content["automations"] if one["name"] == "crmhouse-alert-no-refresh")
    alert["trigger"]["within"] = 10
    file.write_text(yaml.safe_dump({"automations": [alert]}), encoding="utf-8")
    targets.apply()
    _, called = calls[0].get(timeout=120)
    assert called["subject"] == "crmhouse: no refresh for three hours"
    assert "the log of the worker" in called["text"]


def test_a_changed_target_is_seen_and_not_shown(
    targets: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets.apply()
    assert targets.plan().changes == ()
    monkeypatch.setenv("ALERTS_URL", "http://127.0.0.1:1/other?key=hush")
    (change,) = targets.plan().changes
    assert change.name == "custom-webhook/crmhouse-alerts-webhook"
    assert {(field.old, field.new) for field in change.fields} == {("(hidden)", "(hidden)")}
    assert targets.apply().changes == (change,)
    assert targets.plan().changes == ()
    public = targets.server.call("/block_documents/filter", {})
    assert "hush" not in json.dumps(public)


def fail(project: Project, name: str, state: str, kind: str) -> dict[str, Any]:
    deployment = project.deployment(name)
    run = project.server.call(
        f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {}}
    )
    body = {"type": kind, "name": state, "message": "a value that nobody may see"}
    project.server.call(f"/flow_runs/{run['id']}/set_state", {"state": body, "force": True})
    found: dict[str, Any] = run
    return found


def crash(project: Project, tries: int) -> None:
    deployment = project.deployment("refresh/refresh")
    place = f"/deployments/{deployment['id']}/create_flow_run"
    run = project.server.call(place, {"parameters": {}})
    for _ in range(tries):
        for kind in ("PENDING", "RUNNING", "SCHEDULED"):
            set_state(project, run["id"], kind)
    set_state(project, run["id"], "CRASHED")


def set_state(project: Project, run: str, kind: str) -> None:
    body = {"state": {"type": kind}, "force": True}
    project.server.call(f"/flow_runs/{run}/set_state", body)
