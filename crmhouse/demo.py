"""The demo: an invented company, stand-ins of its four systems, and a project that reads them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from crmhouse.embedded import EmbeddedServer
from crmhouse.errors import AlreadyRunningError, ConfigurationError, SourceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BATCHES = ("batch_1", "batch_2")
KEYS = "stand_ins.env"
"""The file with what opens the stand-ins."""

_MARK = "# Written by `crmhouse demo`; the next demo replaces it and everything beside it."
_NO_PROXY = ("NO_PROXY", "no_proxy")  # where there are both, the second one counts
# What is only looked for now and then is part of each delivery here.
_MORE = {"hubspot": ", archived_every_hours: 0, associations_every_hours: 0"}
_CONFIGURATION = """\
{mark}
#
# Four systems of one invented company, each behind a stand-in of its API, and the exchange rates
# from a file. Before a run, start the stand-ins with what has changed up to the second delivery,
# and take what opens them into the environment:
#   crmhouse simulate {folder} --port {port} --as-of batch_2
#   . {keys}
home: .crmhouse

# The demo's world ends here. A real project leaves this out: figures are then for the moment of
# the newest record.
as_of: {as_of}

fx_rates: reference.fx_rates_monthly
sources:
{sources}
  - name: reference
    kind: files
    options:
      path: .
      streams:
        fx_rates_monthly:
          glob: reference/fx_rates_monthly.csv
          key: [month, currency]
          columns: {{usd_per_unit: numeric}}
"""


def prepare_folder(folder: Path) -> Path:
    """Clear an earlier demo out of the folder; return where its configuration goes.

    Raises:
        ConfigurationError: the folder holds something that no demo wrote.
        AlreadyRunningError: somebody uses the earlier demo's warehouse.
    """
    config = folder / "crmhouse.yaml"
    if folder.exists() and any(folder.iterdir()):
        if not config.is_file() or not config.read_text(encoding="utf-8").startswith(_MARK):
            raise ConfigurationError(
                f"{folder} holds something that `crmhouse demo` did not write, and the demo "
                "replaces what is in its folder. Name another one with --folder."
            )
        home = (folder / ".crmhouse").resolve()
        server = EmbeddedServer.of(home)
        if server.data.exists() and not server.stop():
            raise AlreadyRunningError(
                f"The warehouse of the demo in {folder} is in use. Close what uses it first."
            )
        for part in (server.data, home, *(folder / name for name in BATCHES)):
            shutil.rmtree(part, ignore_errors=True)
        (folder / KEYS).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{_MARK}\n", encoding="utf-8")
    return config


@contextmanager
def stand_ins(folder: Path) -> Iterator[str]:
    """Serve the first delivery in a process of its own, until the end of the block.

    Yields:
        The URL of the stand-ins.

    Raises:
        SourceUnavailableError: they did not start; they have said why.
    """
    command = [sys.executable, "-m", "crmhouse.cli", "simulate", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # ours
        try:
            url = next(iter(process.stdout or ()), "").strip().rpartition("/")[0]
            if not url:
                raise SourceUnavailableError("The stand-ins of the four systems did not start.")
            yield url
        finally:
            process.terminate()


def advance(url: str) -> None:
    """Let the stand-ins go on to the next delivery.

    Raises:
        SourceUnavailableError: they do not.
    """
    try:
        httpx.post(f"{url}/_simulator/advance", timeout=60, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        raise SourceUnavailableError(
            f"The stand-ins at {url} have not gone on to the next delivery. Start the demo again."
        ) from None


def write_configuration(
    config: Path, as_of: str, url: str, credentials: Mapping[str, Mapping[str, str]]
) -> None:
    """Write the project's configuration, and beside it what opens the stand-ins.

    As in a real project the configuration only names variables; this process gets them at once.

    Args:
        config: where it is put.
        as_of: the moment that figures are for.
        url: of the stand-ins.
        credentials: the options that open each of them.
    """
    named = {
        name: {option: f"DEMO_{name}_{option}".upper() for option in options}
        for name, options in credentials.items()
    }
    values = {
        named[name][option]: value
        for name, options in credentials.items()
        for option, value in options.items()
    }
    os.environ |= values | dict.fromkeys(_NO_PROXY, _without_proxy())
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    exports += [f"export {name}={shlex.quote(_without_proxy())}" for name in _NO_PROXY]
    (config.parent / KEYS).write_text("\n".join([_MARK, *exports, ""]), encoding="utf-8")
    sources = "\n".join(
        f"  - {{name: {name}, kind: {name}, options: {{url: '{url}/{name}'"
        + "".join(f", {option}: '${{{variable}}}'" for option, variable in options.items())
        + _MORE.get(name, "")
        + "}}"
        for name, options in named.items()
    )
    text = _CONFIGURATION.format(
        mark=_MARK, as_of=as_of, sources=sources, folder=shlex.quote(str(config.parent)),
        keys=shlex.quote(str(config.parent / KEYS)), port=url.rpartition(":")[2],
    )  # fmt: skip
    config.write_text(text, encoding="utf-8")


def _without_proxy() -> str:
    """Return the hosts that no proxy is asked for, this machine among them."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return ",".join(dict.fromkeys([*filter(None, known.split(",")), "127.0.0.1"]))
