"""The simulation plays the real claims and rounds: small, so that its bars are wider than benchmarks/pulling.py's."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import pytest

from benchmarks.pulling import LOAD, OwnPart, scenarios, times
from leicos_jobs.core.stages import GENERATE
from leicos_jobs.run.config import PlanConfig, RunConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.run.pool_size import pool_sizes
from leicos_jobs.run.simulation import Scenario, simulate

SAMPLES, GPUS, SEEDS = 800, 8, 3
PLAN = PlanConfig(samples=SAMPLES, workers=GPUS)


def ratio(name: str) -> float:
    ratios = []
    for seed in range(SEEDS):
        scenario = scenarios(times(SAMPLES, seed), GPUS)[name]
        outcome = simulate(scenario, seed)
        assert outcome.missing == 0
        ratios.append(outcome.seconds / scenario.bound(outcome.losses))
    return statistics.fmean(ratios)


def test_pulling_is_near_the_bound_and_equal_shards_are_not() -> None:
    assert 1 < ratio("pulling") < 1.04
    assert ratio("equal shards, one per GPU") > 1.06


def test_a_pool_that_shrinks_and_grows_costs_little() -> None:
    assert ratio("pulling, pool halves and doubles twice") < 1.06


def test_where_nothing_is_lost_and_all_samples_are_alike_the_end_is_known() -> None:
    """Each GPU starts a pod, loads once and makes its share."""
    scenario = Scenario(seconds=[10.0] * 40, gpus=4, plan=PLAN.model_copy(update={"workers": 4}), lost_per_hour=0)
    outcome = simulate(scenario, 0)
    assert outcome.seconds == 60 + LOAD + 10 * 10
    assert outcome.gpu_seconds == 4 * outcome.seconds
    assert (outcome.losses, outcome.lost_seconds, outcome.rounds) == (0, 0, 1)


def test_more_workers_than_gpus_find_nothing_left() -> None:
    scenario = Scenario(seconds=[10.0] * 40, gpus=2, plan=PLAN.model_copy(update={"workers": 10}), lost_per_hour=0)
    outcome = simulate(scenario, 0)
    assert outcome.missing == 0
    assert outcome.seconds == 60 + LOAD + 20 * 10 + 4 * 60, "eight pods start for nothing, two at a time"


def test_what_a_worker_without_tries_held_the_next_round_makes() -> None:
    """Pods live half an hour and need ten minutes a sample: some are lost more often than they are tried again."""
    scenario = Scenario(seconds=[600.0] * 60, gpus=4, plan=PLAN.model_copy(update={"workers": 4}), lost_per_hour=3)
    outcome = simulate(scenario, 1, rounds=20)
    assert outcome.missing == 0
    assert outcome.rounds > 1
    assert outcome.losses > GENERATE.retries
    assert outcome.lost_seconds > 0


def test_what_the_time_budget_leaves_the_next_round_makes() -> None:
    scenario = Scenario(seconds=[100.0] * 80, gpus=4, plan=PLAN.model_copy(update={"workers": 4}), lost_per_hour=0)
    outcome = simulate(dataclasses.replace(scenario, worker_seconds=1500), 0)
    assert (outcome.rounds, outcome.missing) == (2, 0)


def test_an_equal_shard_is_never_helped() -> None:
    slow = [1000.0] * 10 + [1.0] * 10
    plan = PLAN.model_copy(update={"workers": 2})
    pulled, equal = (
        simulate(Scenario(seconds=slow, gpus=2, plan=plan, lost_per_hour=0, puller=puller), 0).seconds
        for puller in (Scenario.puller, OwnPart)
    )
    assert equal == 60 + LOAD + 10_000
    assert pulled < 60 + LOAD + 6_000


def test_the_size_that_is_worth_it_is_where_gpu_hours_begin_to_rise(tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {"source": {"files": ["a.hdf5"], "task": "Lift."}, "plan": {"samples": 100}, "cost": {"generate_seconds": 60}}
    )
    run = create_run(str(tmp_path / "run"), config, known={"a.hdf5": "sha256:0"})
    found = pool_sizes(run, 8, seeds=2, lost_per_hour=0.05, start=60)
    assert [size.gpus for size in found.sizes] == [2, 4, 8, 16, 32]
    hours = [size.hours for size in found.sizes]
    assert hours == sorted(hours, reverse=True)
    costs = [size.gpu_hours for size in found.sizes]
    assert costs == sorted(costs), "each GPU loads the model"
    assert found.worth.gpus < 32
    assert not found.times.measured
    assert f"worth it: {found.worth.gpus} GPUs" in found.text()
    assert found.sizes[0].dollars == pytest.approx(4 * costs[0])
