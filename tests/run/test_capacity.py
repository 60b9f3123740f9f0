"""A plan that the rounds' time budgets cannot hold is refused before it costs GPU hours, with what helps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.command_line import leicos

from leicos_jobs.run.capacity import capacity, require_capacity
from leicos_jobs.run.config import RunConfig, parse_config


def planned(samples: int, workers: int = 64, **changes: dict[str, float]) -> RunConfig:
    said = {"source": {"files": ["a.hdf5"], "task": "Lift."}, "plan": {"samples": samples, "workers": workers}}
    return RunConfig.model_validate(said | changes)


@pytest.mark.parametrize("samples", [1, 64, 10_000, 60_000, 91_968])
def test_plans_of_usual_sizes_are_held_by_the_rounds(samples: int) -> None:
    assert capacity(planned(samples)) == samples
    require_capacity(planned(samples))


def test_three_rounds_of_sixty_four_workers_hold_91968_samples_by_default() -> None:
    """64 workers x 3 rounds x 479 samples of 150 s in twenty hours, less 180 s to load."""
    assert capacity(planned(200_000)) == 91_968


@pytest.mark.parametrize("samples", [91_969, 100_000, 109_000])
def test_the_advice_helps(samples: int) -> None:
    with pytest.raises(Exception, match=f"of {samples} samples") as caught:
        require_capacity(planned(samples))
    fix = str(caught.value.fix)
    workers = int(re.findall(r"plan\.workers to at least (\d+)", fix)[0])
    seconds = int(re.findall(r"rounds\.worker_seconds to at least (\d+)", fix)[0])
    fewer = int(re.findall(r"plan\.samples to at most (\d+)", fix)[0])
    require_capacity(planned(samples, workers))
    require_capacity(planned(samples, rounds={"worker_seconds": seconds}))
    require_capacity(planned(fewer))
    require_capacity(planned(samples, cost={"generate_seconds": 1.0}))


def test_nothing_is_advised_that_cannot_be() -> None:
    """A budget beyond the deadline of a pod, more workers than the Workflow object has room for."""
    with pytest.raises(Exception, match="rounds of 64 workers") as caught:
        require_capacity(planned(1_000_000))
    assert "raise rounds.worker_seconds" not in str(caught.value.fix)
    assert "raise plan.workers" not in str(caught.value.fix)


def test_the_command_line_says_it_with_78(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_text("source: {files: [a.hdf5], task: Lift.}\nplan: {samples: 100000}\n")
    assert parse_config(path.read_bytes(), "large").plan.samples == 100_000, "an older run can still be opened"
    done = leicos("config", path)
    assert done.returncode == 78
    assert "make about 91968 of 100000 samples" in done.stderr
    assert "raise plan.workers to at least 70" in done.stderr
