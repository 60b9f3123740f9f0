"""How many samples a workflow's rounds can generate within the time budgets of their workers."""

from __future__ import annotations

import math

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import GENERATE
from leicos_jobs.core.workflow_size import ROUNDS, most_workers
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.rounds import workers_of


def capacity(config: RunConfig) -> int:
    """Samples of the plan that ROUNDS rounds generate, by `cost.generate_seconds` and `cost.load_seconds`.

    A worker takes no sample after its budget, and loads its model within it.
    """
    budget = config.rounds.worker_seconds - config.cost.load_seconds
    per_worker = max(1, math.ceil(budget / config.cost.generate_seconds))
    plan = config.plan
    missing = plan.samples
    for _ in range(ROUNDS):
        missing -= min(missing, workers_of(missing, plan.samples_per_worker, plan.workers) * per_worker)
    return plan.samples - missing


def require_capacity(config: RunConfig) -> None:
    """Raises InputError for a plan that the usual rounds cannot hold: it would cost its GPU hours and then fail."""
    held, samples = capacity(config), config.plan.samples
    if held >= samples:
        return
    plan, cost = config.plan, config.cost
    workers = workers_of(samples, plan.samples_per_worker, plan.workers)
    advice = [f"set plan.samples to at most {held}"]
    needed = math.ceil(samples / (ROUNDS * workers)) * cost.generate_seconds + cost.load_seconds
    if needed <= GENERATE.hours * 3600:
        advice.insert(0, f"raise rounds.worker_seconds to at least {math.ceil(needed)}")
    more = math.ceil(samples * workers / held)
    if more <= most_workers(ROUNDS, 2 * config.replay.workers):
        advice.insert(0, f"raise plan.workers to at least {more}, if you have so many GPUs")
    raise InputError(
        f"plan.samples: {ROUNDS} rounds of {workers} workers (plan.workers) make about {held} of {samples} samples in "
        f"{config.rounds.worker_seconds} s each (rounds.worker_seconds), at {cost.generate_seconds:g} s per "
        f"sample and {cost.load_seconds:g} s to load (cost.generate_seconds, cost.load_seconds)",
        fix=f"{', or '.join(advice)}; where a sample takes less time, say so in cost.generate_seconds",
    )
