"""Files of a run for a browser: compared with their digests once, a few kept, parts of them sent as players ask."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

from leicos_jobs.run.opened import Run

KEPT = 32
"""Files that are kept ready; of a run in S3 they are copies in a scratch folder."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Files:
    """The bytes of a run's objects. scratch: an empty folder."""

    def __init__(self, run: Run, scratch: Path) -> None:
        self._run, self._scratch = run, scratch
        self._lock = threading.Lock()
        self._ready: OrderedDict[str, Path] = OrderedDict()

    def open(self, key: str, sha256: str) -> BinaryIO:
        """An object's bytes, open for reading. Raises DamageError if they are not what the digest says."""
        with self._lock:
            path = self._ready.pop(key, None)
            if path is None or not path.is_file():
                place = self._scratch / sha256[:16]
                place.mkdir(exist_ok=True)
                path = self._run.commits.fetch_object(key, sha256, place)
            self._ready[key] = path
            while len(self._ready) > KEPT:
                self._run.store.release(self._ready.popitem(last=False)[1])
            return path.open("rb")


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; the whole where there is none, or one of another kind (RFC
    9110, 14.2). None if it cannot be satisfied."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return (0, size - 1)
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) and size else None
    begin, end = int(first), min(int(last), size - 1) if last else size - 1
    return (begin, end) if begin <= end else None
