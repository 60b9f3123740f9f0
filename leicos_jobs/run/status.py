"""How far a run is, from its store alone: no cluster is asked, so it works for `leicos run` and after a workflow's end.

Counts come from the plan and the records under today's keys. The time still needed is an estimate: what is missing,
at the pace of the records so far, by the workers that work on samples now; with an earlier look at the same run
it is the pace seen since then.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from leicos_jobs.core import stages
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.run import failures
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.measured import Measured, measure
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, Standing

BRIEF = 120
"""Characters of an error that are shown."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageStatus(_Model):
    """One per-sample stage."""

    stage: str
    committed: int
    missing: int
    """Still to do: nothing stands in their way but work."""
    quarantined: int
    """Given up in this stage after too many failures."""
    failures: int
    """Failures noted in all, of samples quarantined or not, under any settings."""
    workers: int
    seconds_per_sample: float | None
    """Median over the records."""
    samples_per_hour: float | None
    """None while nobody is at work."""
    eta_seconds: float | None
    hours: float
    """Pod hours, at least."""
    load_share: float | None
    dollars: float


class Reason(_Model):
    """Why samples are quarantined or refused."""

    stage: str
    error: str
    count: int
    example: str
    """A sample's id."""


class RunStatus(_Model):
    """A run as its store shows it."""

    run: str
    name: str
    samples: int
    """In the plan; 0 before there is one."""
    labelled: int
    refused: int
    """Refused by the gate: done, but not labelled."""
    quarantined: int
    missing: int
    """Neither labelled, refused nor quarantined."""
    whole_stages: dict[str, bool]
    """Stages that commit as a whole: done or not."""
    stages: tuple[StageStatus, ...]
    quarantine_reasons: tuple[Reason, ...]
    gate_reasons: dict[str, int]
    makers: dict[str, dict[str, int]]
    """What made the records, by version, git commit and image: values and how many records each made."""
    mixed: tuple[str, ...]
    """Of those, the ones with more than one value."""
    gpu_hours: float
    dollars: float
    eta_seconds: float | None
    verdict: str = ""
    """Whether to train on the dataset, as the report says it; empty before."""
    taken: float = Field(default_factory=time.monotonic, exclude=True)
    """When it was taken, for the pace between two looks. Of this process's clock."""

    @property
    def done(self) -> bool:
        """Nothing is missing and the report is written; quarantined samples stay so until `--retry-quarantined`."""
        return (
            self.samples > 0
            and self.whole_stages[stages.REPORT.name]
            and not any(stage.missing for stage in self.stages)
        )

    def text(self) -> str:
        """For people."""

        from leicos_jobs.run.status_text import text

        return text(self)


@dataclass
class _Tally:
    """Counts of one stage while the plan is walked."""

    committed: int = 0
    missing: int = 0
    quarantined: dict[str, failures.Failure] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def status(run: Run, earlier: RunStatus | None = None) -> RunStatus:
    """Look at a run. `earlier`: a look at the same run, for the pace since then."""
    results = Results(run)
    planned, nothing = results.current("plan") is not None, Standing([], {}, {})
    standing = results.samples_standing if planned else nothing
    drawn = results.controls_standing if planned else nothing
    states, notes = standing.states, standing.notes | drawn.notes
    tallies = _count(standing, stages.CHAIN) | _count(drawn, (stages.CONTROLS.name,))
    records = {stage: results.current(stage) for stage in stages.WHOLE}
    found = {stage: measure(run.store, stage, sum(tally.seconds)) for stage, tally in tallies.items()}
    whole = dict(zip(stages.WHOLE, in_parallel(lambda stage: measure(run.store, stage), stages.WHOLE), strict=True))
    before = {stage.stage: stage for stage in earlier.stages} if earlier else {}
    elapsed = time.monotonic() - earlier.taken if earlier else 0.0
    rows = tuple(
        _stage(run, stage, tallies[stage], found[stage], notes.get(stage, {}), (before.get(stage), elapsed))
        for stage in stages.SAMPLE
    )
    measured = found | whole
    made_by = makers(results.all_states if planned else [], records)
    labelled = sum(state.label is not None for state in states)
    refused = sum(state.refused is not None for state in states)
    quarantined = sum(state.label is None and state.sample.id in standing.quarantined for state in states)
    waits = [stage.eta_seconds for stage in rows if stage.missing]
    return RunStatus(
        run=run.store.uri,
        name=run.config.name,
        samples=len(states),
        labelled=labelled,
        refused=refused,
        quarantined=quarantined,
        missing=len(states) - labelled - refused - quarantined,
        whole_stages={stage: record is not None for stage, record in records.items()},
        stages=rows,
        quarantine_reasons=_reasons(tallies),
        gate_reasons=dict(Counter(reason for state in states for reason in _refusals(state)).most_common()),
        makers=made_by,
        mixed=tuple(name for name, values in made_by.items() if len(values) > 1),
        gpu_hours=sum(
            item.gpu_seconds / 3600
            for stage, item in measured.items()
            if stages.STAGES[stage].pool is not stages.Pool.CPU
        ),
        dollars=sum(item.dollars(stage, run.config.cost) for stage, item in measured.items()),
        eta_seconds=_latest(waits),
        verdict=_verdict(records),
    )


def _verdict(records: Mapping[str, StageRecord | None]) -> str:
    """The report's; before it, what curate found wrong with the labels."""
    report, curate = records[stages.REPORT.name], records[stages.CURATE.name]
    if report is not None:
        return str(report.facts.get("verdict", ""))
    red = [item["name"] for item in curate.facts.get("checks", []) if not item["passed"]] if curate else []
    return f"labels are not proven: failed checks {', '.join(red)}" if red else ""


def _count(standing: Standing, chain: Sequence[str]) -> dict[str, _Tally]:
    """Walk each sample's chain. A sample is not missing in stages after the one that quarantined it."""
    tallies = {stage: _Tally() for stage in chain}
    for state in standing.states:
        failure = standing.quarantined.get(state.sample.id)
        for stage in chain:
            record: Record | None = state.records.get(stage)
            if record is not None:
                tallies[stage].committed += 1
                tallies[stage].seconds.append(float(record.facts.get("seconds", 0.0)))
            elif (state.refused is not None and stage in stages.AFTER_GATE) or (
                stage == stages.REPLAY.name and state.no_replay
            ):
                break
            elif failure is not None:
                tallies[failure.stage].quarantined[state.sample.id] = failure
                break
            else:
                tallies[stage].missing += 1
    return tallies


def _stage(
    run: Run,
    stage: str,
    tally: _Tally,
    measured: Measured,
    notes: dict[str, list[failures.Failure]],
    before: tuple[StageStatus | None, float],
) -> StageStatus:
    pace = statistics.median(tally.seconds) if tally.seconds else None
    per_hour = measured.workers * 3600 / pace if measured.workers and pace else None
    former, elapsed = before
    if former is not None and elapsed > 0 and tally.committed > former.committed:
        per_hour = (tally.committed - former.committed) * 3600 / elapsed
    return StageStatus(
        stage=stage,
        committed=tally.committed,
        missing=tally.missing,
        quarantined=len(tally.quarantined),
        failures=sum(map(len, notes.values())),
        workers=measured.workers,
        seconds_per_sample=pace,
        samples_per_hour=per_hour,
        eta_seconds=tally.missing * 3600 / per_hour if per_hour else None,
        hours=measured.hours,
        load_share=measured.load_share,
        dollars=measured.dollars(stage, run.config.cost),
    )


def _latest(waits: Sequence[float | None]) -> float | None:
    """Stages work side by side, so the slowest decides; unknown if any is, 0 if none is left."""
    known = [wait for wait in waits if wait is not None]
    return max(known, default=0.0) if len(known) == len(waits) else None


def _refusals(state: State) -> list[str]:
    return [] if state.gate is None else [str(reason) for reason in state.gate.facts["reasons"]]


def _reasons(tallies: dict[str, _Tally]) -> tuple[Reason, ...]:
    """Quarantined samples by error, the commonest first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for tally in tallies.values():
        for sample, failure in tally.quarantined.items():
            error = (failure.error.splitlines() or [""])[0][:BRIEF]
            grouped.setdefault((failure.stage, error), []).append(sample)
    found = [
        Reason(stage=stage, error=error, count=len(samples), example=min(samples))
        for (stage, error), samples in grouped.items()
    ]
    return tuple(sorted(found, key=lambda reason: (-reason.count, reason.stage, reason.error)))


def makers(states: Sequence[State], whole: dict[str, StageRecord | None]) -> dict[str, dict[str, int]]:
    """Who made the records that count: a run of mixed commits or images can be right, but one wants to know."""
    counts: dict[str, Counter[str]] = {"leicos": Counter(), "git": Counter(), "image": Counter()}
    attempts = [record.attempt for record in whole.values() if record is not None]
    for state in states:
        records = (state.records.get(stage) for stage in stages.SAMPLE)
        attempts += [record.attempt for record in records if record is not None]
    for attempt in attempts:
        for name, counter in counts.items():
            if name in attempt:
                counter[str(attempt[name])] += 1
    return {name: dict(counter.most_common()) for name, counter in counts.items()}
