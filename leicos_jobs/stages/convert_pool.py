"""Demos over processes: one encoder thread each, a process a core, stopped together."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from leicos_jobs.core import signals
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import RetryError
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.stages.convert_demo import DemoJob, DemoResult, convert_demo, prepare_process

Progress = Callable[[int, int], None]
"""Called with (demos done, demos in all)."""

Outcome = DemoResult | Problem


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[DemoJob], files: Sequence[Path], workers: int | None, progress: Progress | None
) -> tuple[list[Outcome], list[str]]:
    """Convert all demos and digest all files; results in the order given.

    workers: processes, as many as cores when None; one works in this process. Raises RetryError on a stop or when a
    process vanishes, otherwise the first error of a job; the other jobs are then stopped.
    """
    report = progress or (lambda _done, _total: None)
    count = min(workers or available_cores(), max(1, len(jobs)))
    if count > 1:
        return _in_pool(jobs, files, count, report)
    prepare_process()
    outcomes: list[Outcome] = []
    for job in jobs:
        outcomes.append(convert_demo(job))
        report(len(outcomes), len(jobs))
    return outcomes, [sha256_file(path) for path in files]


def _in_pool(
    jobs: Sequence[DemoJob], files: Sequence[Path], count: int, report: Progress
) -> tuple[list[Outcome], list[str]]:
    # spawn: a forked child would inherit HDF5's and FFmpeg's locks in whatever state another thread left them
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=prepare_process)
    try:
        demos = [pool.submit(convert_demo, job) for job in jobs]
        hashes = [pool.submit(sha256_file, path) for path in files]
        pending: set[Future[Any]] = {*demos, *hashes}
        while pending:
            done, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            signals.check()
            for future in done:
                future.result()
            report(sum(future.done() for future in demos), len(demos))
        return [future.result() for future in demos], [future.result() for future in hashes]
    except BrokenProcessPool as error:
        raise RetryError("a conversion process died", fix="give it more memory or use fewer workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
