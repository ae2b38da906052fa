"""One refresh in a process of its own, through Prefect or without it; prints what it took as JSON.

    python refreshes.py prefect|plain CONFIG [--force]

Both do the same steps by the same functions. The clock starts when everything is imported, and the
CPU time is that of this process and of the dbt that it calls.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import quality
from crmhouse import pipeline, publish, transform
from crmhouse.settings import Settings, load_settings
from crmhouse.warehouse import open_warehouse
from identity.resolve import resolve
from ingestion import sync
from ingestion.locks import hold_sources


def plain(config: str, *, force: bool) -> str:
    """Refresh without Prefect, and return the outcome."""
    settings = load_settings(Path(config))
    with open_warehouse(settings) as warehouse, pipeline.begin(warehouse) as run_id:
        for source in settings.sources:
            sync.sync_source(
                warehouse, settings, source, run_id=run_id, rules=quality.row_rules, patience=60
            )
        with hold_sources(warehouse, [source.name for source in settings.sources], patience=60):
            fingerprint = pipeline.fingerprint(warehouse, settings)
            if not force and pipeline.is_current(warehouse, fingerprint):
                pipeline.finish(warehouse, run_id, "succeeded", pipeline.NOTHING_NEW)
                return pipeline.NOTHING_NEW
            as_of = pipeline.write_context(warehouse, settings, run_id)
            checks = {
                "run_id": run_id,
                "sources": transform.system_sources(settings),
                "as_of": as_of,
                "streams": _streams(settings),
            }
            with transform.dbt_process(warehouse, settings) as process:
                quality.run_gate(warehouse, "raw", **checks).raise_for_failures()
                transform.build_for_identity(warehouse, settings, process=process)
                resolve(warehouse, run_id=run_id)
                transform.build_marts(warehouse, settings, process=process)
            quality.run_gate(warehouse, "marts", **checks).raise_for_failures()
            quality.write_page(warehouse, settings.home / "gates.html", run_id=run_id)
            publish.publish(warehouse, run_id=run_id)
            pipeline.finish(
                warehouse, run_id, "succeeded", pipeline.PUBLISHED, fingerprint=fingerprint
            )
            return pipeline.PUBLISHED


def _streams(settings: Settings) -> dict[str, tuple[str, ...]]:
    return {s.name: s.streams for s in settings.sources if s.streams is not None}


def through_prefect(config: str, *, force: bool) -> str:
    """Refresh by the flow, on the server that PREFECT_API_URL names, and return the outcome."""
    from flows.refresh import refresh  # noqa: PLC0415  # imports Prefect

    state = refresh(config=config, force=force, return_state=True)
    return str(state.result().outcome)


def main() -> None:
    """Run one, and print it."""
    way, config, *options = sys.argv[1:]
    work = through_prefect if way == "prefect" else plain
    if way == "prefect":
        import flows.refresh  # noqa: F401, PLC0415
    began, used = time.monotonic(), _cpu()
    outcome = work(config, force="--force" in options)
    print(
        json.dumps(
            {
                "outcome": outcome,
                "seconds": time.monotonic() - began,
                "cpu": _cpu() - used,
                "cpu_with_start": _cpu(),
            }
        )
    )


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    main()
