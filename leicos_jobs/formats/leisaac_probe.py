"""Whether HDF5's library survives a file. Over a damaged one it may loop for ever or crash, which no exception tells.

libhdf5 2.0.0 for one never returns from a global heap whose free space claims no size (H5HG, reached by the first
attribute of text that is read). So a child process looks through the file's structure first.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from leicos_jobs.core.errors import DefectError, InputError, RetryError
from leicos_jobs.formats.leisaac_hdf5 import Recording

PATIENCE = 120.0
"""Seconds for one demo's structure and tables. They are milliseconds of work and at most some MB, maybe over a
network."""

_CRASHES = {-int(number) for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)}
_HANGS = 1
"""What faulthandler exits with, and Python after an exception."""


def probe(path: Path, patience: float = PATIENCE) -> None:
    """Look through everything but the images in another process; a file that has not changed is looked at once.

    patience: seconds without progress after which the library is held to hang. Raises InputError if it hangs or crashes
    over this file, RetryError if somebody killed the process, DefectError if our own code broke. What can be told by an
    exception is left to `Recording`.
    """
    try:
        status = path.stat()
    except OSError:
        return
    _probe(path, patience, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _probe(path: Path, patience: float, _size: int, _changed: int) -> None:
    command = [sys.executable, "-m", __name__, str(path), str(patience)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    place = done.stdout.splitlines()[-1] if done.stdout else "its structure"
    fix = "restore the file, or copy what h5dump can still read of it into a new one"
    if done.returncode == _HANGS and "Timeout" in done.stderr:
        raise InputError(f"{path}: is damaged: HDF5's library hangs over {place}", fix=fix)
    if done.returncode in _CRASHES:
        name = signal.Signals(-done.returncode).name
        raise InputError(f"{path}: is damaged: HDF5's library crashes over {place} ({name})", fix=fix)
    if done.returncode == _HANGS:
        raise DefectError(f"{path}: the process that looks through a recording broke over {place}:\n{done.stderr}")
    if done.returncode:
        text = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise RetryError(f"{path}: the process that looked at it ended with {done.returncode}: {text[0]}")


def _look(path: Path, patience: float) -> None:
    def next_is(place: str) -> None:
        print(place, flush=True)
        faulthandler.dump_traceback_later(patience, exit=True)  # a thread of its own: works while the library loops

    next_is("its structure")
    try:
        with Recording(path) as recording:
            for name in recording.names:
                next_is(name)
                recording.demo(name)
    except InputError:
        pass  # whoever opens it next is told the same
    os._exit(0)  # closing a damaged file may crash too, and is not what was asked


if __name__ == "__main__":
    _look(Path(sys.argv[1]), float(sys.argv[2]))
