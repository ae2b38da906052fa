"""One sync by crmhouse, as `crmhouse sync` does it."""

from __future__ import annotations

import cProfile
import io
import pstats
import uuid
from datetime import datetime
from typing import Any

from child import serve

from crmhouse.settings import Settings, SourceConfig
from crmhouse.warehouse import Warehouse
from ingestion.stream_sync import Asked
from ingestion.sync import sync_source

_TOP = 25
_PATIENCE = 60.0  # for a process that has landed all slices of a small table before the other began


def work(job: dict[str, Any]) -> str | None:
    """Sync the source.

    Args:
        job: `parameters` of the warehouse and the `source`; `windows` to read those only;
            `profile` to return the functions that took longest.
    """
    if not job.get("profile"):
        _sync(job)
        return None
    with cProfile.Profile() as profile:
        _sync(job)
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("tottime").print_stats(_TOP)
    return text.getvalue()


def _sync(job: dict[str, Any]) -> None:
    warehouse = Warehouse(job["parameters"], embedded=True)
    source = SourceConfig(**job["source"])
    settings = Settings(sources=(source,))
    for window in job.get("windows") or [None]:
        moments = [datetime.fromisoformat(moment) for moment in window or ()]
        asked = Asked(window=(moments[0], moments[1])) if window else Asked()
        sync_source(
            warehouse, settings, source, run_id=uuid.uuid4(), asked=asked, patience=_PATIENCE
        )


if __name__ == "__main__":
    serve(work)
