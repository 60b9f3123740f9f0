"""Rounds: plan-round lists what is missing, workers pull from the list; account counts what is left; fan-in decides.

They walk the plan, not a listing. What a worker does not finish is not chased: it is simply missing in the next round.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.run import failures, layout, sealed
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.store import KeyMissingError


@dataclass(frozen=True)
class Account:
    """Where the samples of a plan stand. refusals: how many the gate refused, by its reasons. waiting: how many passed
    the gate and cannot be labelled yet, because there is no IDM. missing: what can be worked on now; made: the ids of
    those that have their video; unseen: how many of them have no verdict of the gate yet."""

    total: int
    labelled: int
    refusals: Counter[str]
    quarantined: dict[str, failures.Failure]
    waiting: int
    missing: list[Sample]
    made: frozenset[str]
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
    missing, made = [], set[str]()
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
            if state.generate is not None:
                made.add(state.sample.id)
    return Account(
        len(standing.states), labelled, refusals, quarantined, waiting, missing, frozenset(made), unseen
    )  # fmt: skip


def workers_of(samples: int, least: int, *most: int) -> int:
    """Pods for so many samples: each for `least` of them, no more than any of `most` says (0 and less: one)."""
    return min(math.ceil(samples / least), *(max(1, each) for each in most))


def scouted(samples: int, workers: int, gate: GateConfig) -> int | None:
    """How many samples the first worker of a run's first round takes, so that the gate sees videos long before the
    others come to their end, and stops a run whose videos are no good; None where that would be no sooner.

    A few more than the gate judges by, for some may fail.
    """
    few = gate.refused_videos_min * 5 // 4
    stops = gate.refused_share_max < 1 and (gate.checks or gate.critic)
    return few if stops and samples > 2 * few * workers else None


class Round(BaseModel):
    """round.json: what the workers of a round take, and how many they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int
    samples: tuple[str, ...]
    """What they pull, by id."""
    made: tuple[str, ...] = ()
    """Those that have their video and lack what follows: each worker has its part of them from the start."""
    videos: bool = True
    """Whether any sample still needs its video or the gate's verdict."""
    labels: bool = True
    """Whether there is an IDM to label with."""
    scouted: int | None = None
    """How many the first worker takes at most; see `scouted`. None: there is no such limit."""

    def most_of(self, worker: int) -> int | None:
        """How many samples a worker takes at most."""
        return self.scouted if worker == 0 else None


def read_round(run: Run, folder: str) -> Round | None:
    """A round, None if it was not planned. Raises DamageError."""
    key = layout.round_file(folder)
    try:
        return sealed.load(Round, run.store.read(key), key, run.store.uri)
    except KeyMissingError:
        return None


def write_round(run: Run, folder: str, planned: Round) -> Round:
    """Write a round unless it is written; returns the one that stands. Raises DamageError."""
    key = layout.round_file(folder)
    return sealed.load(Round, run.store.create(key, sealed.dump(planned)), key, run.store.uri)


def round_of(
    missing: Sequence[str], made: Set[str], plan: PlanConfig, fit: int, max_workers: int, first: GateConfig | None
) -> Round:
    """A round of all that is missing, and as many workers as it is worth.

    made: ids of those that have their video. fit: workers that the Workflow object has room for. max_workers: 0 is no
    limit. first: the gate's settings where no video of the run was judged yet.
    """
    samples = tuple(sample for sample in missing if sample not in made)
    workers = workers_of(len(missing), plan.samples_per_worker, plan.workers, fit, max_workers or plan.workers)
    few = scouted(len(samples), workers, first) if first and workers < fit else None
    return Round(
        workers=workers + (few is not None),  # the scout's pod is soon done: one more waits for its place
        samples=samples,
        made=tuple(sample for sample in missing if sample in made),
        scouted=few,
    )


def listed(run: Run, folder: str, worker: int) -> tuple[Round, dict[str, Sample]]:
    """A round, and the samples of the plan by id. Raises RetryError if it is not there, InputError if it has no such
    worker or if the plan was amended since, DamageError."""
    planned = read_round(run, folder)
    uri = f"{run.store.uri}/{layout.round_file(folder)}"
    if planned is None:
        raise RetryError(f"{uri} is not there", fix="plan-round or fan-in writes it; start again")
    if not 0 <= worker < planned.workers:
        raise InputError(f"{uri} has {planned.workers} workers", fix=f"give --worker 0 to {planned.workers - 1}")
    plan = {sample.id: sample for sample in Results(run).samples()}
    if gone := [sample for sample in (*planned.samples, *planned.made) if sample not in plan]:
        raise InputError(
            f"{uri} lists {len(gone)} samples that are not in the plan: the run was amended since",
            fix="let this workflow end; the next one does what the present configuration demands",
        )
    return planned, plan
