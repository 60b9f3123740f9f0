"""Rounds: plan-round cuts what is missing into fresh, balanced shards; account counts what is left; fan-in decides.

They walk the plan, not a listing. A shard that stays unfinished is not chased: its samples are simply missing in the
next round.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from leicos_jobs.core import logs
from leicos_jobs.core.errors import DefectError, RetryError
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.core.workflow_size import most_shards_in_all
from leicos_jobs.run import failures, layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample, dump_lines, parse_samples
from leicos_jobs.stages import context
from leicos_jobs.store import KeyMissingError

SHARD_STAGES = ("generate", "gate", "label")


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
    notes = {stage: failures.read_all(run.store, stage) for stage in SHARD_STAGES}
    labelled = 0
    refusals: Counter[str] = Counter()
    aside: dict[str, failures.Failure] = {}
    missing = []
    for state in context.states(run, samples, "label"):
        if state.label is not None:
            labelled += 1
        elif state.rejected is not None:
            refusals[state.rejected] += 1
        elif (failure := why_quarantined(run, state, notes)) is not None:
            aside[state.sample.id] = failure
        else:
            missing.append(state.sample)
    return Account(len(samples), labelled, refusals, aside, missing)


def why_quarantined(
    run: Run, state: State, notes: dict[str, dict[str, list[failures.Failure]]]
) -> failures.Failure | None:
    """The failure that set a sample aside in its next stage, or None."""
    for stage in notes:
        if state.pending(stage):
            own = notes[stage].get(state.sample.id, [])
            return failures.quarantined(own, state.keys[stage], run.config.rounds)
    return None


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


def _round_file(workflow: str, number: int) -> str:
    return f"{layout.round_folder(workflow, number)}/round.json"


def _read_round(run: Run, workflow: str, number: int) -> list[int] | None:
    """Indices of a round's shards, None if it was not planned."""
    key = _round_file(workflow, number)
    try:
        return [int(index) for index in parsed_json(run.store.read(key), f"{run.store.uri}/{key}")]
    except KeyMissingError:
        return None


def plan_round(run: Run, workflow: str, number: int) -> list[int]:
    """Write the shards of one round and return their indices. A retried pod finds and keeps what was written."""
    if (written := _read_round(run, workflow, number)) is not None:
        return written
    # no more than still fit into the Workflow object, whatever max-rounds was given
    earlier = sum(len(_read_round(run, workflow, each) or ()) for each in range(number))
    left = most_shards_in_all(number + 1, run.config.replay_shards) - earlier
    shards = cut(account(run).missing, run.config.plan, left)
    for index, shard in enumerate(shards):
        run.store.put(layout.shard(workflow, number, index), dump_lines(shard))
    indices = list(range(len(shards)))
    run.store.put(_round_file(workflow, number), json.dumps(indices).encode())
    logs.event("plan-round.done", round=number, shards=len(shards), samples=sum(map(len, shards)))
    return indices


def read_shard(run: Run, workflow: str, number: int, index: int) -> list[Sample]:
    """Samples of a shard. Raises RetryError if a lagging listing hides it, DefectError never."""
    key = layout.shard(workflow, number, index)
    try:
        return list(parse_samples(run.store.read(key), f"{run.store.uri}/{key}"))
    except KeyMissingError:
        raise RetryError(f"{run.store.uri}/{key} is not there", fix="plan-round writes it; start again") from None


def fan_in(run: Run) -> tuple[Account, list[int]]:
    """Decide whether enough succeeded; returns the account and the indices of the replay shards.

    Raises DefectError below `rounds.min_success_ratio`, naming what is missing and why, or when nothing is labelled.
    """
    result = account(run)
    logs.event(
        "fan-in.account",
        total=result.total,
        labelled=result.labelled,
        rejected=result.rejected,
        quarantined=len(result.quarantined),
        missing=len(result.missing),
    )
    needed = run.config.rounds.min_success_ratio
    if result.ratio < needed:
        reasons = Counter(failure.error.splitlines()[0] for failure in result.quarantined.values())
        raise DefectError(
            f"{result.ratio:.0%} of {result.total} samples are done, {needed:.0%} are needed "
            f"({len(result.quarantined)} quarantined, {len(result.missing)} missing, {result.labelled} labelled)"
            + _listed(reasons),
            fix="see `leicos status`; then `leicos resubmit --retry-quarantined`, or lower rounds.min_success_ratio",
        )
    if result.labelled == 0:
        raise DefectError(
            f"none of {result.total} samples is labelled: the gate refused {result.rejected}"
            + _listed(result.refusals),
            fix=f"look at the videos in {run.store.uri}/generate; correct the generator, or the limits in `gate`",
        )
    return result, list(range(run.config.replay.shards_of(result.total)))


def _listed(reasons: Counter[str]) -> str:
    return "".join(f"\n  {count} x {reason}" for reason, count in reasons.most_common(5))


def replay_shard(run: Run, index: int) -> list[Sample]:
    """The slice of the plan that one replay pod works through."""
    size = run.config.replay.samples_per_shard
    return run.samples()[index * size : (index + 1) * size]
