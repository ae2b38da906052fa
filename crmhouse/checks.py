"""What `crmhouse check` looks at before any work: what is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from crmhouse.errors import ConfigurationError, CrmhouseError, PermissionMissingError
from crmhouse.transform import project_folder
from crmhouse.warehouse import open_warehouse
from ingestion.sources import connector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmhouse.settings import Settings, SourceConfig

Outcome = Literal["ok", "warning", "problem"]

# Releases that install beside Prefect and then break it, some of them silently.
_TOO_NEW = (
    ("sqlalchemy", (2, 1), "Prefect's server runs, but no scheduled run is ever created"),
    ("fastapi", (0, 151), "Prefect's server does not start"),
    ("prefect", (3, 9), "not tried with this release of crmhouse"),
    ("dbt-core", (1, 12), "not tried with this release of crmhouse"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: `settings`, `versions`, `warehouse`, `dbt`, `sources` or `fx_rates`.
        about: which one.
        detail: what was found, and what to do when it is a problem.
    """

    area: str
    about: str
    outcome: Outcome
    detail: str


def check_project(settings: Settings) -> list[Finding]:
    """Look at everything that a run needs; one problem does not hide another."""
    return [
        Finding("settings", "file", "ok", str(settings.config_file or "none: defaults only")),
        *_versions(),
        *_warehouse(settings),
        *_dbt(),
        *_sources(settings),
        *_fx_rates(settings),
    ]


def _versions() -> Iterator[Finding]:
    for package, first_bad, effect in _TOO_NEW:
        try:
            found = version(package)
        except PackageNotFoundError:
            yield Finding("versions", package, "problem", "Not installed. Install crmhouse again.")
            continue
        limit = ".".join(map(str, first_bad))
        if _numbers(found)[: len(first_bad)] >= first_bad:
            yield Finding(
                "versions", package, "problem",
                f"{found}: {effect}. Install the locked versions: "
                f"pip install '{package}<{limit}'.",
            )  # fmt: skip
        else:
            yield Finding("versions", package, "ok", found)


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _warehouse(settings: Settings) -> Iterator[Finding]:
    try:
        with open_warehouse(settings) as warehouse, warehouse.connect() as connection:
            row = connection.execute(
                """
                select current_setting('server_version'), quote_ident(current_user),
                    quote_ident(current_database()),
                    has_database_privilege(current_database(), 'create'),
                    array(select nspname::text from pg_namespace)
                """
            ).fetchone()
    except ConfigurationError as error:
        yield Finding("settings", "warehouse_url", "problem", str(error))
        return
    except PermissionMissingError as error:
        yield Finding("warehouse", "permissions", "problem", str(error))
        return
    except CrmhouseError as error:
        yield Finding("warehouse", "connection", "problem", str(error))
        return
    server, role, database, may_create, schemas = row or ("", "", "", False, [])
    kind = "embedded PostgreSQL" if warehouse.embedded else "PostgreSQL"
    yield Finding("warehouse", "connection", "ok", f"{kind} {server} at {warehouse.place}")
    needed = {f"raw_{source.name}" for source in settings.sources}
    if not may_create:
        yield Finding(
            "warehouse", "permissions", "problem" if needed - set(schemas) else "warning",
            f"The role {role} may not create schemas, and each new source needs one: "
            f"grant create on database {database} to {role};",
        )  # fmt: skip


def _dbt() -> Iterator[Finding]:
    try:
        yield Finding("dbt", "project", "ok", str(project_folder()))
    except ConfigurationError as error:
        yield Finding("dbt", "project", "problem", str(error))


def _sources(settings: Settings) -> Iterator[Finding]:
    if not settings.sources:
        yield Finding(
            "sources", "-", "warning",
            "No source is configured: every mart will be present and empty. Add one under "
            "`sources` in crmhouse.yaml, or run `crmhouse demo`.",
        )  # fmt: skip
    for source in settings.sources:
        yield from _source(settings, source)


def _source(settings: Settings, source: SourceConfig) -> Iterator[Finding]:
    streams = ""
    try:
        reader = connector(settings, source)
        problems = reader.check()
        if not problems:
            streams = ", ".join(stream.name for stream in reader.streams())
    except CrmhouseError as error:
        problems = [str(error)]
    for problem in problems:
        yield Finding("sources", source.name, "problem", problem)
    if not problems:
        yield Finding("sources", source.name, "ok", f"{source.kind}: {streams}")


def _fx_rates(settings: Settings) -> Iterator[Finding]:
    if settings.fx_rates is None:
        if settings.sources:
            yield Finding(
                "fx_rates", "-", "warning",
                "No exchange rates are configured: amounts in other currencies than "
                f"{settings.reporting_currency} are reported as not converted. "
                "Set fx_rates to <source>.<stream>.",
            )  # fmt: skip
        return
    name, stream = settings.fx_rates.split(".", 1)
    try:
        offered = {s.name: s for s in connector(settings, settings.source(name)).streams()}
    except CrmhouseError as error:
        yield Finding("fx_rates", settings.fx_rates, "problem", str(error))
        return
    if stream not in offered:
        known = ", ".join(offered) or "none"
        yield Finding(
            "fx_rates", settings.fx_rates, "problem",
            f"Source {name} has no stream {stream}. It has: {known}.",
        )  # fmt: skip
        return
    yield Finding("fx_rates", settings.fx_rates, "ok", "configured")
