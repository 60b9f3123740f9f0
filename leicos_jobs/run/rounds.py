"""Rounds: plan-round cuts what is missing into fresh, balanced shards; account counts what is left; fan-in decides.

They walk the plan, not a listing. A shard that stays unfinished is not chased: its samples are simply missing in the
next round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.store import KeyMissingError


@dataclass(frozen=True)
class Account:
    """Where the samples of a plan stand. refusals: how many the gate refused, by its reasons."""

    total: int
    labelled: int
    refusals: Counter[str]
    quarantined: dict[str, failures.Failure]
    missing: list[Sample]

    @property
    def refused(self) -> int:
        """Samples that the gate refused."""
        return self.refusals.total()

    @property
    def ratio(self) -> float:
        """Share of the plan whose work is over: labelled, or refused by the gate."""
        return (self.labelled + self.refused) / max(1, self.total)


def account(run: Run, results: Results | None = None) -> Account:
    """Count the plan's samples by where they stand."""
    standing = (results or Results(run)).samples_standing
    labelled = 0
    refusals: Counter[str] = Counter()
    missing = []
    quarantined = {}
    for state in standing.states:
        if state.label is not None:
            labelled += 1
        elif state.refused is not None:
            refusals[state.refused] += 1
        elif (failure := standing.quarantined.get(state.sample.id)) is not None:
            quarantined[state.sample.id] = failure
        else:
            missing.append(state.sample)
    return Account(len(standing.states), labelled, refusals, quarantined, missing)


def cut(missing: list[Sample], plan: PlanConfig, most: int | None = None) -> list[list[Sample]]:
    """Balanced shards in plan order, `most` of them if that is said: sizes differ by one at most."""
    if not missing:
        return []
    count = plan.shards_of(len(missing))
    count = count if most is None else max(1, min(count, most))
    size, longer = divmod(len(missing), count)
    shards, begin = [], 0
    for index in range(count):
        end = begin + size + (index < longer)
        shards.append(missing[begin:end])
        begin = end
    return shards


class Round(BaseModel):
    """round.json: the indices of a round's shards."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: tuple[int, ...]


class Shard(BaseModel):
    """The samples of one shard, by id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str
    round: int
    index: int
    samples: tuple[str, ...]


def read_round(run: Run, workflow: str, number: int) -> Round | None:
    """A round, None if it was not planned. Raises DamageError."""
    key = layout.round_file(workflow, number)
    try:
        return sealed.load(Round, run.store.read(key), key, run.store.uri)
    except KeyMissingError:
        return None


def write_shard(run: Run, shard: Shard) -> None:
    """Write a shard's list."""
    run.store.put(layout.shard(shard.workflow, shard.round, shard.index), sealed.dump(shard))


def read_shard(run: Run, workflow: str, number: int, index: int) -> list[Sample]:
    """Samples of a shard. Raises RetryError if the list is not there, InputError if the plan was amended since,
    DamageError."""
    key = layout.shard(workflow, number, index)
    try:
        shard = sealed.load(Shard, run.store.read(key), key, run.store.uri)
    except KeyMissingError:
        raise RetryError(f"{run.store.uri}/{key} is not there", fix="plan-round writes it; start again") from None
    if (shard.workflow, shard.round, shard.index) != (workflow, number, index):
        raise sealed.DamageError(key, run.store.uri, f"it is shard {shard.index} of round {shard.round}")
    plan = {sample.id: sample for sample in Results(run).samples()}
    if gone := [sample for sample in shard.samples if sample not in plan]:
        raise InputError(
            f"{run.store.uri}/{key} lists {len(gone)} samples that are not in the plan: the run was amended since",
            fix="let this workflow end; the next one does what the present configuration demands",
        )
    return [plan[sample] for sample in shard.samples]


def replay_shard(run: Run, index: int) -> list[Sample]:
    """The slice of the plan that one replay pod works through."""
    size = run.config.replay.samples_per_shard
    return Results(run).samples()[index * size : (index + 1) * size]
