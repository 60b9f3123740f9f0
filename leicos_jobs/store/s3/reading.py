"""Reading an object's body, and reading on where it was cut.

botocore tries a request again, but not the body that follows its headers: a connection that is lost in the middle of it
is the reader's to mend. Reading goes on after the last byte that came (`Range`), as long as the object is the same
(ETag); tries count from the last byte that came.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from urllib3.exceptions import HTTPError

from leicos_jobs.core import signals
from leicos_jobs.core.errors import RetryError
from leicos_jobs.store.s3.answers import code_of

Get = Callable[..., Any]
"""`get_object` of one key; takes Range."""

PART_BYTES = 32 << 20
CONNECTIONS = 8
TRIES = 6
_PAUSE = 0.1
_CHUNK = 1 << 18
_AGAIN = "start again; committed work is kept"
CUT = (
    ConnectionClosedError,
    HTTPError,
    IncompleteReadError,
    OSError,
    ReadTimeoutError,
    ResponseStreamingError,
)


class ReadingError(RetryError):
    """The body did not come whole. The message does not name the object: the store does."""


class ChangedError(ReadingError):
    """The object was replaced while it was read."""


class _Body:
    """The bytes from `first` on, to `last` or the end; `size` of the whole object and `etag` are known once begun."""

    def __init__(self, get: Get, first: int = 0, last: int | None = None, etag: str | None = None) -> None:
        self._get, self._at, self._last, self.etag = get, first, last, etag
        self.size: int | None = None

    def chunks(self) -> Iterator[bytes]:
        """Raises ReadingError if the body is cut again and again, ChangedError."""
        tries = 0
        while True:
            body = self._open()
            try:
                for chunk in body:
                    self._at += len(chunk)
                    tries = 0
                    yield chunk
                return
            except CUT as error:
                tries += 1
                if tries == TRIES:
                    raise ReadingError(f"the answer was cut {TRIES} times ({error})", fix=_AGAIN) from error
                signals.check()
                time.sleep(_PAUSE * 2**tries)

    def _open(self) -> Iterator[bytes]:
        """Ask for what is left; the bytes of the answer."""
        if self._at or self._last is not None:
            answer = self._get(Range=f"bytes={self._at}-{'' if self._last is None else self._last}")
        else:
            answer = self._get()
        if self.etag not in (None, answer.get("ETag")):
            answer["Body"].close()
            raise ChangedError("the object was replaced while it was read", fix=_AGAIN)
        self.etag = answer.get("ETag")
        place = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.get("ContentRange", ""))
        self.size = int(place[2]) if place else answer.get("ContentLength")
        return _without(answer["Body"].iter_chunks(_CHUNK), self._at - (int(place[1]) if place else 0))


def _without(chunks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    """All but the first `skip` bytes: a server that knows no ranges gives the whole object."""
    for chunk in chunks:
        if skip < len(chunk):
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def read(get: Get) -> bytes:
    """An object's bytes. An object that is replaced meanwhile is read from its beginning."""
    for _ in range(TRIES):
        try:
            return b"".join(_Body(get).chunks())
        except ChangedError as error:
            changed = error
    raise changed


def download(get: Get, path: Path) -> None:
    """Write an object's bytes to `path`, parts of a large one side by side, and check the length.

    A notice to stop ends it at once: a checkpoint takes minutes, and a spot node gives 15 s. Raises ReadingError.
    """
    with path.open("wb") as stream:
        size = _first(get, stream.fileno())
    length = path.stat().st_size
    if size not in (None, length):
        raise ReadingError(f"{length} of {size} bytes came", fix=_AGAIN)


def _first(get: Get, descriptor: int) -> int | None:
    """Write the first part, then the others if there are any; returns the object's size."""
    stop = threading.Event()
    body = _Body(get, 0, PART_BYTES - 1)
    try:
        _write(body, descriptor, 0, stop)
    except ClientError as error:
        if code_of(error)[1] != 416:
            raise
        body = _Body(get)  # an empty object has no byte 0 that a range could begin with
        _write(body, descriptor, 0, stop)
    size = body.size
    if size is not None and os.fstat(descriptor).st_size == PART_BYTES < size:
        _others(get, descriptor, size, body.etag, stop)
    return size


def _others(get: Get, descriptor: int, size: int, etag: str | None, stop: threading.Event) -> None:
    """Write all parts but the first. The first failure ends the others."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = {at: _Body(get, at, min(at + PART_BYTES, size) - 1, etag) for at in range(PART_BYTES, size, PART_BYTES)}
        jobs = [pool.submit(_write, part, descriptor, at, stop) for at, part in parts.items()]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _write(body: _Body, descriptor: int, at: int, stop: threading.Event) -> None:
    for chunk in body.chunks():
        signals.check()
        if stop.is_set():
            return
        left = memoryview(chunk)
        while left:
            written = os.pwrite(descriptor, left, at)
            at, left = at + written, left[written:]
