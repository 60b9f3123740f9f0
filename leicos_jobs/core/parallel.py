"""The same for each of many items, side by side in threads: on S3 a request is a round trip, not work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from leicos_jobs.core import signals

AT_ONCE = 16
_BATCH = 512
T = TypeVar("T")
R = TypeVar("R")


def in_parallel(act: Callable[[T], R], items: Iterable[T], at_once: int = AT_ONCE) -> Iterator[R]:
    """Results in the items' order, as they come; few wait. The first failure, or a notice to stop, drops what is not
    begun."""
    pool, rest = ThreadPoolExecutor(at_once), iter(items)
    try:
        while batch := list(islice(rest, _BATCH)):
            for result in pool.map(act, batch):
                signals.check()
                yield result
    finally:
        pool.shutdown(cancel_futures=True)
