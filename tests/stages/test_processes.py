"""Work in several processes: in order, stopped together, and whoever dies is named."""

from __future__ import annotations

import os
import signal
import time

import pytest

from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.work.process_pool import spread


def prepare() -> None:
    """Nothing to prepare."""


def square(job: int) -> int:
    time.sleep(0.05 * (job % 3))
    return job * job


def die_at_five(job: int) -> int:
    if job == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(job)


def refuse_two(job: int) -> int:
    if job == 2:
        raise InputError("two")
    return square(job)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    seen: list[tuple[int, int]] = []
    found = spread(square, range(8), workers=workers, prepare=prepare, progress=lambda *step: seen.append(step))
    assert found == [job * job for job in range(8)]
    assert seen[-1] == (8, 8)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_error_of_a_job_ends_it(workers: int) -> None:
    with pytest.raises(InputError, match="two"):
        spread(refuse_two, range(40), workers=workers, prepare=prepare)


def test_a_process_that_dies_is_told_with_what_it_had_in_hand() -> None:
    with pytest.raises(RetryError) as caught:
        spread(die_at_five, range(12), workers=2, prepare=prepare, name=lambda job: f"a.hdf5: demo_{job}")
    text = str(caught.value).splitlines()[0]
    assert text.startswith("a worker process died at one of: ")
    named = text.split("of: ")[1].split(", ")
    assert len(named) <= 2
    assert "a.hdf5: demo_5" in named
