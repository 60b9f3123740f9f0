"""Stopping on SIGTERM: a spot notice leaves seconds, so a worker finishes or drops the current sample and exits 75.

Python runs a signal's handler in the main thread only, but the kernel may hand the signal to any other: a main thread
that waits for a download's threads then never hears of it. The C level writes every signal to the wakeup descriptor,
from whichever thread it came to (`signal.set_wakeup_fd`); a thread here reads it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType

from leicos_jobs.core.errors import STOPPED, RetryError

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_stop = threading.Event()
_writer: socket.socket | None = None
"""Kept open: signals are written to it."""
_seen = False


def install() -> None:
    """Turn SIGTERM and SIGINT into a request to stop; a second signal ends the process at once. Main thread only."""
    global _writer
    if _writer is not None:
        return
    reader, _writer = socket.socketpair()
    _writer.setblocking(False)
    signal.set_wakeup_fd(_writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(reader,), name="leicos-signals", daemon=True).start()
    for number in _STOPPING:
        signal.signal(number, _on_signal)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


def _listen(reader: socket.socket) -> None:
    while received := reader.recv(1):
        if received[0] in _STOPPING:
            _stop.set()


def _on_signal(number: int, _frame: FrameType | None) -> None:
    """The handler: from the second signal on, what the system does with it."""
    global _seen
    if _seen:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _seen = True


def stopping() -> bool:
    """Whether a stop was asked for."""
    return _stop.is_set()


def check() -> None:
    """Raise RetryError (exit 75) if a stop was asked for; called between units of work."""
    if _stop.is_set():
        raise RetryError("stopped by a signal; what was committed stays, start again to go on", code=STOPPED)
