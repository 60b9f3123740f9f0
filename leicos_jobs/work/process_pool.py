"""Work spread over processes, one a core, that are stopped together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from leicos_jobs.core import signals
from leicos_jobs.core.cores import available_cores
from leicos_jobs.core.errors import RetryError

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]
"""Called with (jobs done, jobs in all)."""


def spread(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int | None,
    prepare: Callable[[], None],
    progress: Progress | None = None,
    name: Callable[[Job], str] = str,
) -> list[Result]:
    """`function` of every job, in the order given; it, the jobs and the results are pickled.

    workers: processes, as many as cores when None; one job or worker needs no process of its own. prepare: called once
    a process. name: what to call a job. Raises RetryError on a stop, or when a process vanishes (it names what may have
    been in hand), otherwise the first error of a job; the jobs not begun are then dropped.
    """
    report = progress or (lambda _done, _total: None)
    count = min(workers or available_cores(), len(jobs))
    if count > 1:
        return _in_pool(function, jobs, count, prepare, report, name)
    prepare()
    results: list[Result] = []
    for job in jobs:
        signals.check()
        results.append(function(job))
        report(len(results), len(jobs))
    return results


def _in_pool(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    count: int,
    prepare: Callable[[], None],
    report: Progress,
    name: Callable[[Job], str],
) -> list[Result]:
    # spawn: a forked child would inherit HDF5's and FFmpeg's locks in whatever state another thread left them
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=prepare)
    futures = [pool.submit(function, job) for job in jobs]
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            signals.check()
            for future in done:
                future.result()
            report(len(jobs) - len(pending), len(jobs))
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        in_hand = [name(job) for job, future in zip(jobs, futures, strict=True) if future in pending or _broke(future)]
        raise RetryError(
            f"a worker process died at one of: {', '.join(in_hand[:count])}",
            fix="give it more memory or use fewer workers; if it is always the same, look at that file",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _broke(future: Future[Result]) -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)
