"""The compose file as Docker Compose reads it: merged, its variables filled in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parents[2] / "deployments" / "compose"
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def load(*names: str) -> dict[str, Any]:
    """Return the files, laid over each other as Compose does: maps merge, the rest is replaced.

    Compose appends volumes, tmpfs and the like; ours are in the later file only where it replaces
    the service's own.
    """
    merged: dict[str, Any] = {}
    for name in names or ("compose.yaml",):
        content = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        merged = _over(merged, content)
    return merged


def _over(below: Any, above: Any, key: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{k: _over(below.get(k), v, k) for k, v in above.items()}}
    if key in {"volumes", "tmpfs"} and isinstance(below, list):
        return [*below, *above]
    return above


def variables(content: Any) -> dict[str, str]:
    """Return the variables that are referred to, and `required` or `optional`."""
    found: dict[str, str] = {}
    for name, operator, _ in (
        match for text in _texts(content) for match in _VARIABLE.findall(text)
    ):
        if operator != "-":
            found[name] = "required"
        found.setdefault(name, "optional")
    return found


def filled(content: Any, values: Mapping[str, str]) -> Any:
    """Return the content with its variables filled in."""
    if isinstance(content, dict):
        return {key: filled(value, values) for key, value in content.items()}
    if isinstance(content, list):
        return [filled(value, values) for value in content]
    if not isinstance(content, str):
        return content

    def value(match: re.Match[str]) -> str:
        if given := values.get(match[1]):
            return given
        if match[2] == "-":
            return match[3]
        raise KeyError(match[1])

    return _VARIABLE.sub(value, content)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)
    elif isinstance(content, str):
        yield content


def docker_run(service: Mapping[str, Any], name: str) -> list[str]:
    """Return the arguments of `docker run` that start a service on the host's network.

    Where an engine has no networks of its own, the names of the services lead to loopback.
    """
    options = [
        "--name", name, "--network", "host", "--user", service["user"],
        *(f"--add-host={host}:127.0.0.1" for host in ("postgres", "prefect-server")),
    ]  # fmt: skip
    options += ["--read-only"] * service["read_only"] + ["--init"] * service.get("init", False)
    for option, values in (
        ("--cap-drop", service["cap_drop"]),
        ("--security-opt", service["security_opt"]),
        ("--tmpfs", service["tmpfs"]),
        ("--volume", [_absolute(volume, name) for volume in service.get("volumes", [])]),
        ("--env-file", [str((FOLDER / file).resolve()) for file in _env_files(service)]),
        ("--env", [f"{key}={value}" for key, value in service.get("environment", {}).items()]),
    ):
        options += [part for value in values for part in (option, value)]
    options += ["--memory", service["mem_limit"], "--pids-limit", str(service["pids_limit"])]
    return [*options, service["image"], *service["command"]]


def _env_files(service: Mapping[str, Any]) -> list[str]:
    files = service.get("env_file", [])
    return [file for file in files if isinstance(file, str)]


def _absolute(volume: str, name: str) -> str:
    """Return a mount with its folder in full; a named volume with a name of this stack's own."""
    source, _, rest = volume.partition(":")
    if source.startswith("."):
        return f"{(FOLDER / source).resolve()}:{rest}"
    return volume if source.startswith("/") else f"{name.rpartition('_')[0]}_{source}:{rest}"
