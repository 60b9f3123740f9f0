"""From a sample to its state: which records it has under the current keys, and what is missing.

Planning of rounds, the worker, status, curation and assembly all ask here, so that "done" has one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.core.stages import CHAIN, SAMPLE
from leicos_jobs.run.commits import Commits, Record
from leicos_jobs.run.identity import SampleRules
from leicos_jobs.run.samples import Sample


@dataclass(frozen=True)
class State:
    """How far a sample has come. keys: the current key of every stage whose inputs are known. records: of those that
    are committed under it. no_replay: why it cannot be replayed, or None."""

    sample: Sample
    keys: Mapping[str, str]
    records: Mapping[str, Record] = field(default_factory=dict)
    no_replay: str | None = None

    @property
    def generate(self) -> Record | None:
        """The video."""
        return self.records.get("generate")

    @property
    def gate(self) -> Record | None:
        """The verdict on the video."""
        return self.records.get("gate")

    @property
    def label(self) -> Record | None:
        """The actions."""
        return self.records.get("label")

    @property
    def replay(self) -> Record | None:
        """What became of them in the simulator."""
        return self.records.get("replay")

    @property
    def controls(self) -> dict[str, ReplayMetrics]:
        """Group of controls -> what its replay measured; empty before that stage, and where it is not drawn."""
        record = self.records.get("controls")
        groups = record.facts["controls"] if record else {}
        return {group: ReplayMetrics.model_validate(metrics) for group, metrics in groups.items()}

    @property
    def replayable(self) -> bool:
        """Whether it has labels that a simulator can replay."""
        return self.label is not None and not self.no_replay

    @property
    def refused(self) -> str | None:
        """Why the gate refused the video, or None."""
        if self.gate is None or self.gate.facts["passed"]:
            return None
        return ", ".join(self.gate.facts["reasons"])

    @property
    def metrics(self) -> ReplayMetrics | None:
        """What replay measured; None before it."""
        return ReplayMetrics.model_validate(self.replay.facts["metrics"]) if self.replay else None

    def pending(self, stage: str) -> bool:
        """Whether this stage can run for the sample now and has not."""
        return stage in self.keys and stage not in self.records


def walk(commits: Commits, rules: SampleRules, sample: Sample, upto: str = CHAIN[-1]) -> State:
    """Read a sample's records in order, at most through stage `upto`."""
    state = State(sample, {}, {}, rules.no_replay[sample.states])
    for stage in SAMPLE[: SAMPLE.index(upto) + 1]:
        state = further(commits, rules, state, stage)
    return state


def further(commits: Commits, rules: SampleRules, state: State, stage: str) -> State:
    """A state with one more stage's key and record, as far as there are any."""
    key = rules.key(stage, state.sample, state.records)
    if key is None:
        return state
    record = commits.get(stage, state.sample.id, key)
    records = state.records if record is None else {**state.records, stage: record}
    return replace(state, keys={**state.keys, stage: key}, records=records)
