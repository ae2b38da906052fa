"""Logs as JSON, one object a line, with what they are about: run, source, stream.

What a record is about comes from where it is written (`about`), not from its message, so that logs
can be filtered by it. It is kept in a context variable: threads and tasks that start with a copy of
their starter's context, as Prefect's do, take it along.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from crmhouse.errors import CrmhouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = ("run_id", "source", "stream", "flow_run_id", "task_run_id")
"""What a record may be about, in the order in which it is written."""

# How Prefect writes the state of a failed or crashed run: with the kind and the text of its error.
_PREFECT_QUOTES = re.compile(
    r"((?:run encountered an|by an unexpected) exception:? ?[\w.]*).*", re.DOTALL
)

_fields: ContextVar[Mapping[str, str] | None] = ContextVar("fields", default=None)


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Say what the records of this block are about; only `FIELDS` are written, None is left out.

    Blocks may stand in each other: the inner one adds to the outer one.
    """
    named = {name: str(value) for name, value in fields.items() if value is not None}
    token = _fields.set({**(_fields.get() or {}), **named})
    try:
        yield
    finally:
        _fields.reset(token)


class AboutFilter(logging.Filter):
    """Gives each record what it is about; what the record brings itself stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every record."""
        for name, value in (_fields.get() or {}).items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: time, level, logger, message, and what it is about.

    Of an exception that is not one of ours only the kind and the places in the code are written:
    its text may quote a value. A message that would hold the text, or comes with such an exception,
    is written without its arguments.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **{
                name: str(value)
                for name in FIELDS
                if (value := getattr(record, name, None)) is not None
            },
        }
        if record.exc_info and (error := record.exc_info[1]):
            line["error"] = type(error).__name__
            if isinstance(error, CrmhouseError):
                line["error_message"] = str(error)
            places = traceback.extract_tb(error.__traceback__)
            line["trace"] = "; ".join(f"{p.filename}:{p.lineno} {p.name}" for p in places)
        return json.dumps(line, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    args = record.args.values() if isinstance(record.args, Mapping) else record.args or ()
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(record.msg, Exception) and not isinstance(record.msg, CrmhouseError):
        return type(record.msg).__name__
    if any(
        isinstance(one, BaseException) and not isinstance(one, CrmhouseError)
        for one in (error, *args)
    ):
        return str(record.msg)
    if record.name.startswith("prefect"):
        return _PREFECT_QUOTES.sub(r"\1", record.getMessage())
    return record.getMessage()


def json_handler() -> logging.Handler:
    """Return a handler that writes JSON to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(AboutFilter())
    handler.setFormatter(JsonFormatter())
    return handler


def is_json() -> bool:
    """Say whether this process writes its log as JSON."""
    return any(isinstance(one.formatter, JsonFormatter) for one in logging.getLogger().handlers)
