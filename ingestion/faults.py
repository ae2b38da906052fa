"""Faults: what reading or landing may raise, turned into errors of ours."""

from __future__ import annotations

import csv
import traceback

import psycopg
import pyarrow as pa

from crmhouse.errors import CrmhouseError, RunFailedError, SourceRefusedError, WarehouseError

FAULTS = (
    CrmhouseError,
    psycopg.Error,
    # What files are known to raise: gone or unreadable, broken inside, nested without end.
    OSError,
    ValueError,
    ArithmeticError,
    RecursionError,
    csv.Error,
    pa.ArrowException,
)


def of_ours(error: Exception, place: str) -> CrmhouseError:
    """Turn one of `FAULTS` into an error of ours; its own text may quote the data.

    Args:
        error: what was raised.
        place: source, stream and slice.
    """
    if isinstance(error, CrmhouseError):
        return error
    if isinstance(error, psycopg.Error):
        return _of_database(error, place)
    frames = traceback.extract_tb(error.__traceback__)
    where = getattr(error, "filename", None) or (frames[-1].name if frames else "unknown")
    what = f"{type(error).__name__} at {where}"
    return SourceRefusedError(
        f"{place}: the source cannot be read ({what}). Nothing of the slice was landed; see that "
        "what is to be read is there, readable and whole, then sync again."
    )


def _of_database(error: psycopg.Error, place: str) -> CrmhouseError:
    what = f"{type(error).__name__}, SQLSTATE {error.sqlstate or 'unknown'}"
    if isinstance(error, psycopg.OperationalError):
        return WarehouseError(
            f"{place}: the warehouse did not do its part ({what}). Nothing of the slice was "
            "landed; see the server's log, then sync again."
        )
    return RunFailedError(
        f"{place}: the warehouse refused the rows ({what}). Nothing of the slice was landed; "
        "the server's log has the details."
    )
