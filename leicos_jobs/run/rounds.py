"""Rounds: plan-round cuts what is missing into fresh, balanced shards; account counts what is left; fan-in decides.

They walk the plan, not a listing. A shard that stays unfinished is not chased: its samples are simply missing in the
next round.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from leicos_jobs.core import stages
from leicos_jobs.core.errors import RetryError
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.run import failures, layout
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample, parse_samples
from leicos_jobs.run.states import read_states
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
    def rejected(self) -> int:
        """Samples that the gate refused."""
        return self.refusals.total()

    @property
    def ratio(self) -> float:
        """Share of the plan whose work is over: labelled, or refused by the gate."""
        return (self.labelled + self.rejected) / max(1, self.total)


def account(run: Run) -> Account:
    """Count the plan's samples by where they stand."""
    samples = run.samples()
    notes = {stage: failures.read_all(run.store, stage) for stage in stages.SHARD}
    labelled = 0
    refusals: Counter[str] = Counter()
    aside: dict[str, failures.Failure] = {}
    missing = []
    for state in read_states(run, samples, "label"):
        if state.label is not None:
            labelled += 1
        elif state.rejected is not None:
            refusals[state.rejected] += 1
        elif (failure := failures.why_quarantined(state, notes, run.config.rounds)) is not None:
            aside[state.sample.id] = failure
        else:
            missing.append(state.sample)
    return Account(len(samples), labelled, refusals, aside, missing)


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


def round_file(workflow: str, number: int) -> str:
    """Key of the list of a round's shards."""
    return f"{layout.round_folder(workflow, number)}/round.json"


def read_round(run: Run, workflow: str, number: int) -> list[int] | None:
    """Indices of a round's shards, None if it was not planned."""
    key = round_file(workflow, number)
    try:
        return [int(index) for index in parsed_json(run.store.read(key), f"{run.store.uri}/{key}")]
    except KeyMissingError:
        return None


def read_shard(run: Run, workflow: str, number: int, index: int) -> list[Sample]:
    """Samples of a shard. Raises RetryError if a lagging listing hides it, DefectError never."""
    key = layout.shard(workflow, number, index)
    try:
        return list(parse_samples(run.store.read(key), f"{run.store.uri}/{key}"))
    except KeyMissingError:
        raise RetryError(f"{run.store.uri}/{key} is not there", fix="plan-round writes it; start again") from None


def replay_shard(run: Run, index: int) -> list[Sample]:
    """The slice of the plan that one replay pod works through."""
    size = run.config.replay.samples_per_shard
    return run.samples()[index * size : (index + 1) * size]
