"""A Prefect server for one process: it answers on loopback and ends when that process ends.

`python -m flows.local_server` prints the port it took, then serves until its standard input
closes. The starter alone holds the other end, and the kernel closes it even for a killed starter:
Prefect's own temporary server would stay behind as an orphan of 350 MB. Until it is gone it holds
the locks it inherits from its starter (`flows.local`), so that the next server waits for it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time

_HOST = "127.0.0.1"
_SECONDS_TO_END = 10.0


def main() -> None:
    """Serve Prefect's API."""
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((_HOST, 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()

    import uvicorn  # noqa: PLC0415  # seconds: the watch and the port come first

    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, lifespan="on", log_level="error"
    )
    uvicorn.Server(config).run(sockets=[listener])


def _end_with_the_starter() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_END)
    os._exit(1)  # still here: the server hangs over a connection


if __name__ == "__main__":
    main()
