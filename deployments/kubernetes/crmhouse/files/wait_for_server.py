"""Waits until Prefect's server is ready and, when one is named, until it has that work pool.

python3 wait_for_server.py [POOL], with PREFECT_API_URL and PREFECT_API_AUTH_STRING. Of the image it
needs Python alone, so it starts at once.
"""

import base64
import http.client
import os
import sys
import time
import urllib.error
import urllib.request

_SECONDS = 900
_PAUSE = 2
_REFUSED = "HTTP 401"


def main() -> int:
    """Wait; 0 when all is there, 1 when it takes too long or the password is refused."""
    api = os.environ["PREFECT_API_URL"].rstrip("/")
    pool = sys.argv[1] if len(sys.argv) > 1 else None
    deadline = time.monotonic() + _SECONDS
    for path in ("/ready", *([f"/work_pools/{pool}"] if pool else [])):
        said = ""
        while (problem := _problem(api + path)) is not None:
            if problem != said:
                sys.stderr.write(f"waiting for {api}{path}: {problem}\n")
                said = problem
            if problem == _REFUSED or time.monotonic() > deadline:
                sys.stderr.write("Giving up. Is the auth string that of the server?\n")
                return 1
            time.sleep(_PAUSE)
    return 0


def _problem(url: str) -> str | None:
    """Ask once; return why the answer is not the awaited one."""
    secret = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", "").encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {secret}"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310  # the server of the chart
            return None
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return str(error)


if __name__ == "__main__":
    raise SystemExit(main())
