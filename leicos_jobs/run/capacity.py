"""How many samples a workflow's rounds can generate within the time budgets of their shards."""

from __future__ import annotations

import math

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import GENERATE
from leicos_jobs.core.workflow_size import ROUNDS
from leicos_jobs.run.config import RunConfig


def capacity(config: RunConfig) -> int:
    """Samples of the plan that ROUNDS rounds generate, by `cost.generate_seconds` and `cost.load_seconds`.

    A shard begins no sample after its budget, and loads its model within it.
    """
    budget = config.rounds.shard_seconds - config.cost.load_seconds
    per_shard = max(1, math.ceil(budget / config.cost.generate_seconds))
    missing = config.plan.samples
    for _ in range(ROUNDS):
        missing -= min(missing, config.plan.shards_of(missing) * per_shard)
    return config.plan.samples - missing


def require_capacity(config: RunConfig) -> None:
    """Raises InputError for a plan that the usual rounds cannot hold: it would cost its GPU hours and then fail."""
    held, samples = capacity(config), config.plan.samples
    if held >= samples:
        return
    shards = config.plan.shards_of(samples)
    needed = math.ceil(samples / (ROUNDS * shards)) * config.cost.generate_seconds + config.cost.load_seconds
    advice = f"set plan.samples to at most {held}"
    if needed <= GENERATE.hours * 3600:
        advice = f"raise rounds.shard_seconds to at least {math.ceil(needed)}, or {advice}"
    raise InputError(
        f"plan.samples: {ROUNDS} rounds of {shards} shards make about {held} of {samples} samples in "
        f"{config.rounds.shard_seconds} s each (rounds.shard_seconds), at {config.cost.generate_seconds:g} s per "
        f"sample and {config.cost.load_seconds:g} s to load (cost.generate_seconds, cost.load_seconds)",
        fix=f"{advice}; where a sample takes less time, say so in cost.generate_seconds",
    )
