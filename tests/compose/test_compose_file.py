"""The compose file is hardened as the image and the chart are; each rule is seen to fail."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import compose
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILES = [("compose.yaml",), ("compose.yaml", "compose.own-postgres.yaml")]
CONTENT = compose.load()
ONE_SHOT = {"databases", "migrations", "deploy"}
PAGE = (compose.FOLDER.parents[1] / "docs" / "one-server.md").read_text(encoding="utf-8")


def complaints(content: dict[str, Any]) -> Iterator[str]:
    """Say what is not as it should be, by service."""
    for name, service in content["services"].items():
        for problem in _of_service(name, service):
            yield f"{name}: {problem}"
    networks = content["networks"]
    for network in ("database", "prefect"):
        if not networks[network].get("internal"):
            yield f"network {network}: not internal"
    if content["services"]["postgres"]["networks"] != ["database"]:
        yield "postgres: in a network besides that of the database"


def _of_service(  # noqa: C901, PLR0912  # a list of rules, each by itself
    name: str, service: dict[str, Any]
) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "root file system can be written"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "has capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "may gain privileges"
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", str(service.get("user", ""))):
        yield "names no user other than root by number"
    if any(service.get(key) for key in ("privileged", "network_mode", "pid", "ipc", "devices")):
        yield "shares something of the machine"
    if any("docker.sock" in volume for volume in service.get("volumes", [])):
        yield "holds Docker's socket"
    if not {"mem_limit", "cpus", "pids_limit"} <= set(service):
        yield "has no limits"
    if "max-size" not in service.get("logging", {}).get("options", {}):
        yield "its log grows without end"
    if any(not str(port).startswith("127.0.0.1:") for port in service.get("ports", [])):
        yield "publishes a port to everybody"
    if name in ONE_SHOT:
        if service.get("restart") != "no":
            yield "runs once, and is restarted"
        return
    if service.get("restart") != "unless-stopped":
        yield "is not restarted"
    if not service.get("healthcheck", {}).get("test"):
        yield "has no health check"
    if name != "metrics" and service.get("stop_grace_period") != "60s":
        yield "is killed before it can leave"


@pytest.mark.parametrize("files", FILES, ids="+".join)
def test_every_service_keeps_to_the_rules(files: tuple[str, ...]) -> None:
    assert list(complaints(compose.load(*files))) == []


def _set(service: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["services"][service].__setitem__(key, value)


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (_set("worker", "read_only", False), "worker: root file system can be written"),
        (_set("worker", "cap_drop", ["NET_RAW"]), "worker: has capabilities"),
        (_set("postgres", "cap_add", ["CHOWN"]), "postgres: has capabilities"),
        (_set("deploy", "security_opt", []), "deploy: may gain privileges"),
        (_set("worker", "user", "0:0"), "worker: names no user other than root by number"),
        (_set("postgres", "user", None), "postgres: names no user other than root by number"),
        (_set("worker", "network_mode", "host"), "worker: shares something of the machine"),
        (
            _set("worker", "volumes", ["/var/run/docker.sock:/var/run/docker.sock"]),
            "worker: holds Docker's socket",
        ),
        (lambda c: c["services"]["worker"].pop("mem_limit"), "worker: has no limits"),
        (_set("worker", "logging", {}), "worker: its log grows without end"),
        (
            _set("prefect-server", "ports", ["4200:4200"]),
            "prefect-server: publishes a port to everybody",
        ),
        (_set("deploy", "restart", "always"), "deploy: runs once, and is restarted"),
        (_set("worker", "restart", "no"), "worker: is not restarted"),
        (lambda c: c["services"]["worker"].pop("healthcheck"), "worker: has no health check"),
        (_set("worker", "stop_grace_period", "10s"), "worker: is killed before it can leave"),
        (lambda c: c["networks"].update(database={}), "network database: not internal"),
        (
            _set("postgres", "networks", ["database", "outside"]),
            "postgres: in a network besides that of the database",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_is_broken_is_seen(
    broken: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    content = copy.deepcopy(CONTENT)
    broken(content)
    assert list(complaints(content)) == [complaint]


def test_every_variable_is_in_the_example_and_no_other_and_no_secret_has_a_default() -> None:
    lines = (compose.FOLDER / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    referred = compose.variables(CONTENT)
    assert set(example) == set(referred)
    empty = {name for name, value in example.items() if not value}
    assert empty == {name for name in referred if re.search("PASSWORD|AUTH", name)}
    assert {referred[name] for name in empty} == {"required"}


def test_a_missing_secret_is_an_error_and_not_an_empty_password() -> None:
    values = {name: "x" for name, kind in compose.variables(CONTENT).items() if kind == "required"}
    compose.filled(CONTENT, values)
    for name in values:
        with pytest.raises(KeyError, match=name):
            compose.filled(CONTENT, {**values, name: ""})


def test_each_container_gets_the_secrets_that_it_needs_and_no_other() -> None:
    needed = {
        "postgres": {"POSTGRES_PASSWORD"},
        "databases": {"POSTGRES_PASSWORD", "WAREHOUSE_PASSWORD", "PREFECT_PASSWORD"},
        "migrations": {"PREFECT_PASSWORD"},
        "prefect-server": {"PREFECT_PASSWORD", "PREFECT_AUTH_STRING"},
        "deploy": {"WAREHOUSE_PASSWORD", "PREFECT_AUTH_STRING"},
        "worker": {"WAREHOUSE_PASSWORD", "PREFECT_AUTH_STRING"},
        "metrics": {"WAREHOUSE_PASSWORD"},
    }
    found = {
        name: {v for v in compose.variables(service) if re.search("PASSWORD|AUTH", v)}
        for name, service in CONTENT["services"].items()
    }
    assert found == needed


def test_every_file_and_every_service_that_is_referred_to_exists() -> None:
    content = compose.load(*FILES[1])
    for name, service in content["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (compose.FOLDER / source).is_file(), f"{name}: {source}"
            elif not source.startswith("$"):
                assert source in content["volumes"], f"{name}: {source}"
        for file in service.get("env_file", []):
            if isinstance(file, str):
                assert (compose.FOLDER / file).is_file(), f"{name}: {file}"
        for other, how in service.get("depends_on", {}).items():
            one_shot = how["condition"] == "service_completed_successfully"
            assert (other in ONE_SHOT) is one_shot, f"{name}: {other}"
        assert set(service["networks"]) <= set(content["networks"]), name


def test_prefects_server_has_the_settings_that_ours_have_everywhere() -> None:
    for name in ("prefect-server", "migrations"):
        assert CONTENT["services"][name]["env_file"] == ["../prefect_server.env"]
    server = CONTENT["services"]["prefect-server"]["environment"]
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == "${PREFECT_AUTH_STRING:?}"
    assert server["PREFECT_API_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")


def test_the_page_names_every_service_and_every_variable() -> None:
    for name in [*CONTENT["services"], *compose.variables(CONTENT)]:
        assert f"`{name}`" in PAGE, name
