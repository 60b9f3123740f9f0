"""Rounds: plan-round cuts what is missing into fresh, balanced shards; account counts what is left; fan-in decides.

They walk the plan, not a listing. A shard that stays unfinished is not chased: its samples are simply missing in the
next round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.core.stages import LABEL, Stage
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.controls import draw
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.store import KeyMissingError


@dataclass(frozen=True)
class Account:
    """Where the samples of a plan stand. refusals: how many the gate refused, by its reasons. waiting: how many passed
    the gate and cannot be labelled yet, because there is no IDM. missing: what can be worked on now; unseen: how many
    of those have no verdict of the gate yet."""

    total: int
    labelled: int
    refusals: Counter[str]
    quarantined: dict[str, failures.Failure]
    waiting: int
    missing: list[Sample]
    unseen: int

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
    labelled = waiting = unseen = 0
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
        elif state.gate is not None and not state.pending("label"):
            waiting += 1
        else:
            missing.append(state.sample)
            unseen += state.gate is None
    return Account(len(standing.states), labelled, refusals, quarantined, waiting, missing, unseen)


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
    """round.json: the indices of a round's shards, and what they are for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: tuple[int, ...]
    videos: bool = True
    """Whether any sample still needs its video or the gate's verdict."""
    labels: bool = True
    """Whether there is an IDM to label with."""


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


def replay_shard(run: Run, stage: Stage, index: int) -> list[Sample]:
    """The slice of the plan that one pod of replay works through, or that of the drawn samples for one of controls."""
    samples, config = Results(run).samples(), run.config.replay
    if not stage.drawn:
        return samples[index * config.samples_per_shard : (index + 1) * config.samples_per_shard]

    def labelled(asked: set[str]) -> set[str]:
        states = read_states(run, [sample for sample in samples if sample.id in asked], LABEL.name)
        return {state.sample.id for state in states if state.replayable}

    drawn = draw(samples, run.config, labelled)
    return drawn[index * config.controls_per_shard : (index + 1) * config.controls_per_shard]
