"""Settings: the file, the environment, and what is refused before any work."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crmhouse.errors import ConfigurationError
from crmhouse.settings import Settings, SourceConfig, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter-2-hunter"  # noqa: S105


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("CRMHOUSE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "crmhouse.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_without_a_file_the_defaults_hold_and_home_is_in_this_folder() -> None:
    settings = load_settings()
    assert settings.config_file is None
    assert settings.warehouse_url is None
    assert settings.home == Path.cwd() / ".crmhouse"


def test_home_starts_at_the_files_folder_wherever_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    file = tmp_path / "project" / "c.yaml"
    file.write_text("home: state\n")
    monkeypatch.chdir("/")
    assert load_settings(file).home == tmp_path / "project" / "state"


def test_the_file_is_found_by_argument_then_by_variable_then_in_this_folder(
    tmp_path: Path, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("reporting_currency: EUR")
    assert load_settings().reporting_currency == "EUR"
    other = tmp_path / "other.yaml"
    other.write_text("reporting_currency: GBP")
    monkeypatch.setenv("CRMHOUSE_CONFIG", str(other))
    assert load_settings().reporting_currency == "GBP"
    assert load_settings(tmp_path / "crmhouse.yaml").reporting_currency == "EUR"


def test_a_file_that_was_asked_for_and_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml does not exist.*crmhouse init"):
        load_settings(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("CRMHOUSE_REPORTING_CURRENCY", "CHF", "reporting_currency", "CHF"),
        ("CRMHOUSE_AS_OF", "2025-04-01T00:00:00Z", "as_of", datetime(2025, 4, 1, tzinfo=UTC)),
        ("CRMHOUSE_MAX_QUARANTINE_SHARE", "0.5", "max_quarantine_share", 0.5),
        ("CRMHOUSE_SOURCE_TRUST", '["stripe"]', "source_trust", ("stripe",)),
    ],
)
def test_the_environment_wins_over_the_file(
    write: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    attribute: str,
    expected: object,
) -> None:
    write(
        "{reporting_currency: EUR, as_of: 2020-01-01T00:00:00Z, "
        "max_quarantine_share: 0.1, source_trust: [hubspot]}"
    )
    assert getattr(load_settings(), attribute) != expected
    monkeypatch.setenv(name, value)
    assert getattr(load_settings(), attribute) == expected


def test_a_nested_setting_has_a_variable_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMHOUSE_DBT__THREADS", "7")
    assert load_settings().dbt.threads == 7


def test_a_variable_is_put_in_where_the_file_names_it(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("warehouse_url: 'postgresql://me:${TOKEN}@host/db'")
    with pytest.raises(ConfigurationError, match=r"warehouse_url .*variable TOKEN, .*not set"):
        load_settings()
    monkeypatch.setenv("TOKEN", SECRET)
    url = load_settings().warehouse_url
    assert url
    assert url.get_secret_value() == f"postgresql://me:{SECRET}@host/db"


def test_what_opens_a_source_is_asked_for_when_it_is_read_and_not_before(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(options("api_token: '${TOKEN}', url: ['x/${TOKEN}/y']"))
    source = load_settings().source("s")
    assert SECRET not in repr(source)
    with pytest.raises(ConfigurationError, match=r"s: options.api_token .*variable TOKEN, .*not"):
        source.opened()
    monkeypatch.setenv("TOKEN", SECRET)
    assert source.opened() == {"api_token": SECRET, "url": [f"x/{SECRET}/y"]}


def options(text: str) -> str:
    return f"sources: [{{name: s, kind: k, options: {{{text}}}}}]"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"sources: [{{name: s, kind: k, options: {{password: {SECRET}}}}}]", "password"),
        (f"sources: [{{name: s, kind: k, options: {{API_KEY: {SECRET}}}}}]", "API_KEY"),
        (f"sources: [{{name: s, kind: k, options: {{a: [{{token: {SECRET}}}]}}}}]", "token"),
        ("sources: [{name: s, kind: k, options: {client_secret: 12345678}}]", "client_secret"),
        (options(f"api_tokens: [{SECRET}]"), "options.api_tokens[0]"),
        (options(f"secret: {{value: {SECRET}}}"), "options.secret.value"),
        (options(f"secret: {{a: [{{b: ['${{NAME}}', {SECRET}]}}]}}"), "options.secret.a[0].b[1]"),
        (options(f"dsn: 'host=h password={SECRET}'"), "options.dsn"),
        (options(f"dsn: 'Server=h;PWD = {SECRET};'"), "options.dsn"),
        (options(f"auth: 'Bearer {SECRET}'"), "options.auth"),
        (options(f"headers: [authorization, bearer {SECRET}]"), "options.headers[1]"),
        (options(f"url: 'https://host/?api_key={SECRET}'"), "options.url"),
        (options(f"streams: {{s: {{glob: x, token: {SECRET}}}}}"), "options.streams.s.token"),
        (options(f"storage: {{key: {SECRET}}}"), "options.storage.key"),
        (options(f"storage: {{secret: {SECRET}}}"), "options.storage.secret"),
        (options(f"storage: {{client_kwargs: {{aws_access_key_id: {SECRET}}}}}"), "access_key_id"),
        (options(f"storage: {{headers: {{Authorization: Basic {SECRET}}}}}"), "Authorization"),
        (options(f"storage: {{headers: {{Cookie: a={SECRET}}}}}"), "headers.Cookie"),
        (options(f"path: 'https://u:{SECRET}@h/x'"), "options.path"),
        (f"warehouse_url: postgresql://me:{SECRET}@host/db", "warehouse_url"),
        (f"sources: [{{name: s, kind: k, options: {{url: 'https://u:{SECRET}@h'}}}}]", "url"),
    ],
)
def test_a_literal_secret_is_refused_and_not_repeated(
    write: Callable[[str], Path], text: str, place: str
) -> None:
    write(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert place in str(caught.value)
    assert "environment variable" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "streams: {s: {glob: x, key: [token], columns: {token_created: timestamp}}}",
        "streams: {tokens: {glob: 'tokens/*.csv', key: [id, api_key]}}",
        "dsn: 'host=h password=${NAME}'",
        "auth: 'Bearer ${NAME}'",
        "url: 'https://u:${NAME}@h'",
        "api_tokens: ['${NAME}']",
        "storage: {key: '${NAME}', secret: '${NAME}', endpoint_url: 'https://h:9000', anon: false}",
        "storage: {headers: {Authorization: 'Bearer ${NAME}'}}",
        "use_token: true, password: null, secret: ''",
    ],
)
def test_what_only_looks_like_a_secret_is_allowed(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("NAME", SECRET)
    write(options(text))
    assert load_settings().source("s").options


def test_every_fault_is_listed_at_once_and_no_value_is_repeated(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMHOUSE_LOG_LEVEL", SECRET)
    write(
        "{reporting_currency: euro, colour: red, max_quarantine_share: 2, as_of: 2025-01-01T00:00,"
        " sources: [{name: Not Good, kind: k}, {kind: k, extra: 1}]}"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    message = str(caught.value)
    for place in (
        "reporting_currency:", "colour:", "max_quarantine_share:", "as_of:", "log_level:",
        "sources.0.name:", "sources.1.name:", "sources.1.extra:", "crmhouse.yaml",
    ):  # fmt: skip
        assert place in message
    assert SECRET not in message


@pytest.mark.parametrize("name", ["CRMHOUSE_SOURCE_TRUST", "CRMHOUSE_SOURCES", "CRMHOUSE_DBT"])
def test_a_variable_that_is_no_json_is_named_and_its_value_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"a,{SECRET}")
    with pytest.raises(ConfigurationError, match=f"variable {name} is not valid JSON") as caught:
        load_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not valid YAML"),
        ("- a\n- b\n", "top level"),
        ("config_file: x", "config_file is not a setting"),
        ("sources: [{name: s, kind: a}, {name: s, kind: b}]", "stand twice: s"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(
    write: Callable[[str], Path], text: str, said: str
) -> None:
    write(text)
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_an_empty_file_is_a_file_of_defaults(write: Callable[[str], Path]) -> None:
    write("# nothing yet\n")
    assert load_settings().sources == ()


def test_an_unknown_source_is_named_beside_those_that_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"No source is called 'x'.*none"):
        Settings().source("x")


def test_the_warehouse_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMHOUSE_WAREHOUSE_URL", f"postgresql://me:{SECRET}@host/db")
    settings = load_settings()
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("reporting_curency: EUR", "reporting_curency: there is no such setting"),
        ("sources: [{name: s, kind: k, optons: {}}]", r"sources\.0\.optons: there is no such"),
        (
            "sources: [{name: s, kind: k, schedule: every day}]",
            r"sources\.0\.schedule: .*neither a cron expression .* nor an interval",
        ),
        (
            "sources: [{name: s, kind: k, late_after: soon}]",
            r"sources\.0\.late_after: .*not a time such as 45m, 6h or 2d",
        ),
    ],
)
def test_a_slip_in_a_name_or_a_schedule_is_named(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "crmhouse.yaml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        load_settings(file)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("45m", 2700), ("6h", 21_600), ("2d", 172_800), (None, None)],
)
def test_a_time_is_a_number_and_its_unit(text: str | None, seconds: int | None) -> None:
    assert SourceConfig(name="s", kind="k", late_after=text).late_after_seconds == seconds
