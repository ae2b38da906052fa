"""A process that does one thing and says how long it took; of the standard library alone.

It imports all it needs, says that it is ready, and begins when it is told to.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def serve(work: Callable[[dict[str, Any]], object]) -> None:
    """Do the job that the command line holds as JSON; print what it took as JSON.

    Args:
        work: does the job. What it returns is printed besides, as `said`.
    """
    job = json.loads(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    wall, cpu = time.perf_counter(), time.process_time()
    said = work(job)
    took = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": peak_mb(),
        "said": said,
    }
    print(json.dumps(took))


def peak_mb() -> float:
    """Return the most memory that this process has held at once, in MB.

    Linux counts into `ru_maxrss` what the process that started this one held, so the figure of the
    process itself is taken where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text())):
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
