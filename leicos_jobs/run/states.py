"""States of many samples: where each stands under the keys of today."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from leicos_jobs.run.chain import State, walk
from leicos_jobs.run.identity import chain_settings, idm_digest
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample

READERS = 16
"""Threads that read records: on S3 a read is a round trip, not work."""


def read_states(run: Run, samples: Iterable[Sample], upto: str = "replay") -> list[State]:
    """States of samples, in order, read in parallel."""
    settings = chain_settings(run.config, idm_digest(run))
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda sample: walk(run.commits, settings, sample, upto), samples))
