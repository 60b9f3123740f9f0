"""Results of a run as the present configuration demands them: a reader asks here and gets that one or none.

What an older configuration left, or another workflow makes meanwhile, lies beside it under other keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from leicos_jobs.core import stages
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.core.validation import parsed
from leicos_jobs.run import failures, identity, layout
from leicos_jobs.run.chain import State, further, walk
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.controls import demos_of, draw
from leicos_jobs.run.failures import Failure
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample


@dataclass(frozen=True)
class Standing:
    """Where samples stand, at one moment. quarantined: sample id -> the failure that says why.
    notes: all failures, by stage and sample."""

    states: list[State]
    quarantined: dict[str, Failure]
    notes: dict[str, dict[str, list[Failure]]]

    def digest(self) -> str:
        """Digest of all records, and of what is quarantined."""
        records = [[state.sample.id, *(record.digest() for record in state.records.values())] for state in self.states]
        return digest_of([records, {sample: failure.error for sample, failure in self.quarantined.items()}])


class Results:
    """One look at a run's results: of whole stages each is looked up once, samples are read when first asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._known: dict[str, StageRecord | None] = {}

    @property
    def config(self) -> RunConfig:
        """See `Upstream`."""
        return self.run.config

    def outside(self, name: str) -> str:
        """See `Upstream`."""
        return self.run.inputs[name]

    def result(self, stage: str) -> str | None:
        """See `Upstream`."""
        record = self.current(stage)
        return record.digest() if record else None

    def artifact(self, stage: str) -> str | None:
        """See `Upstream`."""
        record = self.current(stage)
        return str(record.facts["artifact"]) if record else None

    def standing(self) -> str:
        """See `Upstream`."""
        return self.samples_standing.digest()

    def controls(self) -> str:
        """See `Upstream`."""
        return self.controls_standing.digest()

    def key(self, stage: str) -> str | None:
        """Key of a whole stage's current result; None while its inputs are not there."""
        return identity.whole_key(self, stage)

    def current(self, stage: str) -> StageRecord | None:
        """The record of a whole stage under its current key; None if it is still to do. Raises DamageError."""
        if self._known.get(stage) is None:
            key = self.key(stage)
            self._known[stage] = self.run.commits.whole(stage, key) if key else None
        return self._known[stage]

    def needed(self, stage: str) -> StageRecord:
        """The same. Raises InputError that names the command to run first."""
        record = self.current(stage)
        if record is None:
            uri = self.run.store.uri
            raise InputError(f"{uri}: {stage} is not done", fix=f"run `leicos {stage} --run {uri}`")
        return record

    def samples(self) -> list[Sample]:
        """The plan. Raises InputError if there is none yet."""
        record = self.needed("plan")
        lines = self.run.commits.read_lines(record, layout.SAMPLES)
        return [parsed(Sample, line, record.path(layout.SAMPLES)) for line in lines]

    @cached_property
    def samples_standing(self) -> Standing:
        """Where the plan's samples stand, in the stages that all of them go through."""
        return self._standing(read_states(self.run, self.samples()), stages.CHAIN)

    @cached_property
    def controls_standing(self) -> Standing:
        """Where those stand that are drawn for controls; quarantined: in that stage."""
        known = {state.sample.id: state for state in self.samples_standing.states}
        samples = [state.sample for state in known.values()]
        drawn = draw(samples, self.config, lambda asked: {name for name in asked if known[name].replayable})
        rules = self.rules(demos_of(samples))
        stage = stages.CONTROLS.name
        states = in_parallel(lambda sample: further(self.run.commits, rules, known[sample.id], stage), drawn)
        return self._standing(list(states), (stage,))

    def _standing(self, states: list[State], of: Sequence[str]) -> Standing:
        notes = {stage: failures.read_all(self.run.store, stage) for stage in of}
        limits = self.config.rounds
        why = ((state.sample.id, failures.why_quarantined(state, notes, limits)) for state in states)
        return Standing(states, {sample: failure for sample, failure in why if failure is not None}, notes)

    @property
    def all_states(self) -> list[State]:
        """The plan's states, with the records of controls."""
        drawn = {state.sample.id: state for state in self.controls_standing.states}
        return [drawn.get(state.sample.id, state) for state in self.samples_standing.states]

    def rules(self, demos: Sequence[str] = ()) -> identity.SampleRules:
        """Keys of the samples' records now. demos: of the plan, for controls."""
        idm, source = self.artifact("train-idm"), self.result("convert")
        return identity.sample_rules(self.config, idm, self.outside, self.run.robot, source, demos)


def read_states(run: Run, samples: Sequence[Sample], upto: str = stages.CHAIN[-1]) -> list[State]:
    """States of samples, in order, read in parallel."""
    results = Results(run)
    rules = results.rules(demos_of(results.samples()) if stages.STAGES[upto].drawn else ())
    return list(in_parallel(lambda sample: walk(run.commits, rules, sample, upto), samples))


def fetch_folder(run: Run, record: StageRecord, scratch: Path, under: str = "") -> Path:
    """A local folder with a whole stage's files (those that begin with `under`), each compared with its digest: the
    store's own, or a download. Raises DamageError."""
    target = scratch / record.folder.replace("/", "-")
    place = target
    names = list(chosen(record, under))
    paths = in_parallel(lambda name: run.commits.fetch_file(record, name, (target / name).parent), names)
    for name, path in zip(names, paths, strict=True):
        if path.is_relative_to(scratch):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(target / name)
        else:
            place = path.parents[name.count("/")]
    return place


def chosen(record: StageRecord, under: str) -> Iterator[str]:
    """Names of a record's files that begin with `under`."""
    return (name for name in sorted(record.files) if name.startswith(under))
