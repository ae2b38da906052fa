"""The stand-ins over a folder, in a process of their own and without limits of speed.

It prints the URL once it answers, and ends when its standard input does.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

from simulators.hubspot import HubSpot, Limits
from simulators.server import Server, simulator
from simulators.systems import SYSTEMS

if TYPE_CHECKING:
    from simulators.salesforce import Salesforce
    from simulators.shopify import Shopify

_WITHOUT_END = 1 << 40


def main(folder: Path, database: Path) -> None:
    """Serve the first batch of a folder, on any port of this machine."""
    made = simulator(folder, database, SYSTEMS)
    hubspot = cast("HubSpot", made.systems["hubspot"])
    hubspot.access.limits = Limits(*[_WITHOUT_END] * 3)
    cast("Salesforce", made.systems["salesforce"]).budget.most = _WITHOUT_END
    shopify = cast("Shopify", made.systems["shopify"])
    shopify.bucket.size = shopify.bucket.restore_rate = _WITHOUT_END
    server = Server(made, "127.0.0.1", 0, lambda url: print(url, flush=True))

    def end() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end, daemon=True).start()
    server.run()
    made.store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
