"""The settings of what a deploy makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import ConfigurationError
from crmhouse.settings import interval, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from crmhouse.settings import Settings

TARGETS = """
orchestration:
  notifications:
    webhook: ${ALERTS_URL}
    mail: {host: mail.example.com, user: me, password: "${MAIL_PASSWORD}", sender: a@example.com,
           to: ["${ON_CALL}"]}
"""


def load(content: str, folder: Path) -> Settings:
    file = folder / "crmhouse.yaml"
    file.write_text(content, encoding="utf-8")
    return load_settings(file)


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("0m", None), ("*/5 * * * *", None)],
)
def test_an_interval_is_a_number_and_its_unit(schedule: str, seconds: int | None) -> None:
    assert interval(schedule) == seconds


def test_where_alerts_go_is_opened_by_a_deploy_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(TARGETS, tmp_path)  # no variable is set, and nothing asks for one
    with pytest.raises(ConfigurationError, match="ALERTS_URL, which is not set"):
        settings.orchestration.notifications.opened()
    monkeypatch.setenv("ALERTS_URL", "https://hooks.example.com/key")
    monkeypatch.setenv("MAIL_PASSWORD", "hush")
    monkeypatch.setenv("ON_CALL", "somebody@example.com")
    opened = settings.orchestration.notifications.opened()
    assert opened.webhook is not None
    assert opened.webhook.get_secret_value() == "https://hooks.example.com/key"
    assert opened.mail is not None
    assert opened.mail.to == ("somebody@example.com",)
    assert "hush" not in repr(opened)
    monkeypatch.setenv("ON_CALL", "somebody")
    with pytest.raises(ConfigurationError, match=r"for mail\.to\.0"):
        settings.orchestration.notifications.opened()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("notifications: {webhook: https://hooks.example.com/key}", "webhook holds a literal"),
        ("notifications: {mail: {host: h, sender: a@b, to: [a@b], password: x}}", "password holds"),
        ("notifications: {mail: {host: h, sender: nobody, to: [a@b]}}", r"mail\.sender"),
        ("notifications: {mail: {host: h, sender: a@b, to: []}}", r"mail\.to"),
        ("time_zone: Mars/Base", "not the name of a time zone"),
        ("work_pool_type: lambda", "'process', 'docker' or 'kubernetes'"),
        ("work_queues: {default: {limit: 2}}", "makes the queue `default` itself"),
        ("work_queues: {a: {priority: 2}, b: {priority: 2}, c: {}}", "have the priority 2"),
        ("work_pool_typ: docker", "there is no such setting"),
    ],
)
def test_a_wrong_setting_is_named(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=says):
        load(f"orchestration:\n  {content}\n", tmp_path)
