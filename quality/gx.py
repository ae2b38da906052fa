"""Great Expectations, kept at arm's length: imported late, silent, and without any credentials.

It takes two seconds to import, so nothing here does before a gate runs. It is given an open
connection instead of an address, so that no configuration, message or log of its own can hold a
password. Its log is shut, since it may repeat values of rows in errors.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import psycopg2.extensions

    from crmhouse.warehouse import Warehouse

Expectation = Any
"""One of the library's expectation objects; to the type checker the library is untyped."""

_NO_ADDRESS = "postgresql+psycopg2://gate@warehouse/warehouse"
"""Never connected to: the data source borrows our connection, but demands an address."""

_CHEAP = {"result_format": "BOOLEAN_ONLY"}
_COUNTED = {"result_format": "BASIC", "partial_unexpected_count": 0}
"""Counts, and not one value of a row: a count is never capped, a list of values is."""

_DRIVER_ERROR = re.compile(r"psycopg2\.errors\.(\w+)")


@cache
def expectations() -> Any:  # noqa: ANN401  # untyped library
    """Import Great Expectations' expectations."""
    log = logging.getLogger("great_expectations")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        # It imports deprecated modules of the standard library.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations.expectations as module  # noqa: PLC0415
    return module


@dataclass(frozen=True)
class Outcome:
    """What Great Expectations says of one expectation.

    Attributes:
        success: whether it holds; None when it could not be evaluated.
        count: rows that break it; None unless counted.
        observed: the number it saw, of an expectation about one.
        error: why it could not be evaluated, without any value.
    """

    success: bool | None
    count: int | None = None
    observed: float | None = None
    error: str | None = None


class Session:
    """A connection on which views are made and checked; see `open_session`."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection
        self._views = 0
        self._source = _data_source(connection)

    def view(self, sql: str) -> str:
        """Make a temporary view, gone with the session, and return its name.

        A view and not a query: of a query, Great Expectations fetches every row just to learn the
        names of its columns, and it reads colons and percent signs in it as parameters.
        """
        self._views += 1
        name = f"gate_view_{self._views}"
        with self._connection.cursor() as cursor:
            cursor.execute(f"create temporary view {name} as {sql}")
        self._connection.commit()
        self._source.add_table_asset(name, table_name=name)
        return name

    def check(
        self, view: str, expected: Mapping[str, Expectation], *, counted: bool
    ) -> dict[str, Outcome]:
        """Evaluate expectations over a view.

        Args:
            view: name that `view` returned.
            expected: expectations by their names, which are their meta entry `rule` too.
            counted: count the rows that fail, instead of only whether any does.

        Returns:
            One outcome for each name.
        """
        import great_expectations as gx  # noqa: PLC0415

        name = f"{view}_{counted}"
        definition = self._source.get_asset(view).add_batch_definition(name)
        suite = gx.ExpectationSuite(name=name, expectations=list(expected.values()))
        found = definition.get_batch().validate(
            suite, result_format=_COUNTED if counted else _CHEAP
        )
        return {
            result.expectation_config.meta["rule"]: _outcome(result) for result in found.results
        }

    def close(self) -> None:
        """Close the connection, and the views with it."""
        self._source.get_execution_engine().engine.dispose()
        self._source.get_engine().dispose()
        self._connection.close()


@contextmanager
def open_session(warehouse: Warehouse) -> Iterator[Session]:
    """Connect to the warehouse for a gate."""
    import psycopg2  # noqa: PLC0415

    expectations()
    connection = psycopg2.connect(warehouse.conninfo, application_name="crmhouse gate")
    session = None
    try:
        with connection.cursor() as cursor:
            cursor.execute("set timezone to 'UTC'; set client_min_messages to warning")
        connection.commit()
        session = Session(connection)
        yield session
    finally:
        if session:
            session.close()
        connection.close()


def _data_source(connection: psycopg2.extensions.connection) -> Any:  # noqa: ANN401  # untyped library
    import great_expectations as gx  # noqa: PLC0415
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415
    from sqlalchemy.pool import StaticPool  # noqa: PLC0415

    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    engine = {"poolclass": StaticPool, "creator": lambda: connection}
    add: Any = context.data_sources.add_postgres  # its stub lacks the engine's arguments
    return add("warehouse", connection_string=_NO_ADDRESS, kwargs=engine)


def _outcome(result: Any) -> Outcome:  # noqa: ANN401  # untyped library
    """Tell "false" from "could not be evaluated", which Great Expectations both calls no success.

    The details of an error are one record, or one for each metric that failed.
    """
    told = result.exception_info or {}
    details = [told, *(detail for detail in told.values() if isinstance(detail, dict))]
    raised = [detail for detail in details if detail.get("raised_exception")]
    if raised:
        text = " ".join(str(detail.get("exception_traceback")) for detail in raised)
        driver = _DRIVER_ERROR.search(text)
        return Outcome(None, error=driver[1] if driver else "the check itself failed")
    found = result.result or {}
    return Outcome(
        bool(result.success),
        count=found.get("unexpected_count"),
        observed=found.get("observed_value"),
    )
