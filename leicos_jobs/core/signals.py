"""Stopping on SIGTERM: a spot notice leaves seconds, so a worker finishes or drops the sample in hand and exits 75."""

from __future__ import annotations

import signal
import threading
from types import FrameType

from leicos_jobs.core.errors import RetryError

_stop = threading.Event()


def install() -> None:
    """Turn SIGTERM and SIGINT into a request to stop; a second signal ends the process at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if _stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        _stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def stopping() -> bool:
    """Whether a stop was asked for."""
    return _stop.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but return True at once when a stop is asked for."""
    return _stop.wait(seconds)


def check() -> None:
    """Raise RetryError (exit 75) if a stop was asked for; called between units of work."""
    if _stop.is_set():
        raise RetryError("stopped by a signal; what was committed stays, start again to go on")
