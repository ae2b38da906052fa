"""How far a run is, for whoever listens in the same process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Listener = Callable[[str, float, str], None]
"""Is told what is done now, in a few words, the share of the run that is done, 0 to 1, and what of
it has just been done, if that is known."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Have a listener told about the runs that begin in this block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(what: str, share: float, detail: str = "") -> None:
    """Tell the listener, if there is one."""
    if listener := _listener.get():
        listener(what, share, detail)
