"""Logs as JSON: one object a line, with what it is about, and without what an exception quotes."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from typing import Any

from crmhouse.errors import RunFailedError
from crmhouse.log import AboutFilter, JsonFormatter, about

PERSON = "ann@example.org"


class Lines(logging.Handler):
    """Keeps what would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(AboutFilter())
        self.setFormatter(JsonFormatter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    @property
    def last(self) -> dict[str, Any]:
        assert "\n" not in self.texts[-1]
        line: dict[str, Any] = json.loads(self.texts[-1])
        return line


def logger_of(lines: Lines) -> logging.Logger:
    logger = logging.Logger("crmhouse.test", logging.DEBUG)  # noqa: LOG001  # nobody else has it
    logger.addHandler(lines)
    return logger


def test_a_line_has_its_time_its_level_its_logger_and_what_it_is_about() -> None:
    lines = Lines()
    logger = logger_of(lines)
    with about(run_id=7, source="shop", unknown="left out"):
        with about(stream="orders", flow_run_id=None):
            logger.info("%s rows\nof %s", 5, "two lines")
        inner = lines.last
        logger.warning("after")
    outer = lines.last
    logger.debug("outside")
    assert inner["message"] == "5 rows\nof two lines"
    assert (inner["level"], inner["logger"]) == ("INFO", "crmhouse.test")
    assert inner["time"].endswith("+00:00")
    assert {*inner} == {"time", "level", "logger", "message", "run_id", "source", "stream"}
    assert (inner["run_id"], inner["source"], inner["stream"]) == ("7", "shop", "orders")
    assert (outer["source"], "stream" in outer) == ("shop", False)
    assert {*lines.last} == {"time", "level", "logger", "message"}


def test_what_a_record_brings_itself_stays() -> None:
    lines = Lines()
    with about(flow_run_id="outer"):
        logger_of(lines).info(
            "x", extra={"flow_run_id": "own", "task_run_id": "t", "email": PERSON}
        )
    assert (lines.last["flow_run_id"], lines.last["task_run_id"]) == ("own", "t")
    assert PERSON not in lines.texts[-1]


def test_a_thread_that_gets_the_context_tells_what_it_is_about() -> None:
    lines = Lines()
    logger = logger_of(lines)
    with about(source="shop"):
        run = contextvars.copy_context().run
        thread = threading.Thread(target=lambda: run(logger.info, "from a thread"))
        thread.start()
        thread.join()
    assert lines.last["source"] == "shop"


def test_an_exception_that_nobody_foresaw_does_not_quote_its_value() -> None:
    lines = Lines()
    logger = logger_of(lines)
    try:
        raise KeyError(PERSON)  # noqa: TRY301
    except KeyError:
        logger.exception("it broke")
    assert PERSON not in lines.texts[-1]
    assert lines.last["error"] == "KeyError"
    assert "test_log.py" in lines.last["trace"]
    try:
        raise RunFailedError("one of ours says what to do")  # noqa: TRY301
    except RunFailedError:
        logger.exception("it failed")
    assert lines.last["error_message"] == "one of ours says what to do"


def test_what_prefect_says_of_an_exception_does_not_quote_its_value_either() -> None:
    lines = Lines()
    logger = logger_of(lines)
    logger.name = "prefect.flow_runs"
    try:
        raise KeyError(PERSON)  # noqa: TRY301
    except KeyError as error:
        # As in its flow_engine.py and task_engine.py.
        logger.exception("Encountered exception during execution: %r", error)  # noqa: TRY401
        logger.info("Task run failed with %s: %r - Retry %s/%s", "exception", error, 1, 3)
        logger.info("of %(what)s", {"what": error})
        logger.error(error)  # noqa: TRY400
        text = f"KeyError: {error}"
    for said in (
        f'Finished in state Failed("Flow run encountered an exception: {text}")',
        f'Finished in state Failed("Task run encountered an exception {text}")',
        f"Crash detected! Execution was interrupted by an unexpected exception: {text}",
    ):
        logger.error(said)
    assert PERSON not in "".join(lines.texts)
    messages = [json.loads(line)["message"] for line in lines.texts]
    assert messages[0] == "Encountered exception during execution: %r"
    assert messages[-1].endswith("interrupted by an unexpected exception: KeyError")
    logger.info("Finished in state %s", "Completed('published')")
    assert lines.last["message"] == "Finished in state Completed('published')"
    logger.warning("given up: %s", RunFailedError("what to do"))
    assert lines.last["message"] == "given up: what to do"
