"""curate: which labelled samples enter the synthetic dataset, and why the others do not. Truth has no say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core import stages
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.validation import parsed
from leicos_jobs.run import commits, failures, layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import CurateConfig
from leicos_jobs.run.failures import why_quarantined
from leicos_jobs.run.opened import Run
from leicos_jobs.run.states import read_states
from leicos_jobs.work.whole import needed, whole_stage

VERSION = 1


class Decision(BaseModel):
    """One line of curate/curated.jsonl."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: str
    accepted: bool
    reason: str
    """Empty if accepted; else why not, beginning with the stage."""


def decide(state: State, limits: CurateConfig) -> Decision:
    """Judge one sample by its records."""
    return Decision(sample=state.sample.id, accepted=not (reason := _reason(state, limits)), reason=reason)


def _reason(state: State, limits: CurateConfig) -> str:
    if state.generate is None:
        return "generate: missing"
    if state.rejected is not None:
        return f"gate: {state.rejected}"
    if state.label is None:
        return "label: missing"
    if (metrics := state.metrics) is None:
        return "replay: missing"
    if limits.require_success and not metrics.success:
        return "replay: the task is not done"
    if metrics.tracking_error_deg > limits.tracking_error_deg_max:
        return f"replay: tracking error {metrics.tracking_error_deg:.1f} degrees"
    if state.label.facts["outside_share"] > limits.limit_violation_share_max:
        return f"label: {state.label.facts['outside_share']:.1%} of the values are outside the motor range"
    return ""


def curate(run: Run) -> StageRecord:
    """Run the stage. None may be left: then there is no dataset, and the report says why before it fails."""
    needed(run, "plan")
    states = read_states(run, run.samples())
    notes = {stage: failures.read_all(run.store, stage) for stage in stages.SAMPLE}
    decisions = []
    for state in states:
        decision = decide(state, run.config.curate)
        if not decision.accepted and (failure := why_quarantined(state, notes, run.config.rounds)) is not None:
            decision = decision.model_copy(update={"reason": f"{failure.stage}: quarantined: {failure.error}"})
        decisions.append(decision)
    records = digest_of([record.digest() for state in states for record in (state.label, state.replay) if record])

    def build(folder: Path) -> dict[str, Any]:
        lines = "".join(json.dumps(item.model_dump()) + "\n" for item in decisions)
        (folder / Path(layout.CURATED).name).write_text(lines)
        reasons = Counter(item.reason.split(":")[0] for item in decisions if not item.accepted)
        return {"accepted": sum(item.accepted for item in decisions), "left_out": dict(reasons)}

    return whole_stage(
        run,
        "curate",
        version=VERSION,
        settings=run.config.curate.model_dump(mode="json"),
        inputs={"records": records, "decisions": digest_of([item.model_dump() for item in decisions])},
        prefix=str(Path(layout.CURATED).parent),
        build=build,
    )


def read_decisions(run: Run) -> list[Decision]:
    """What curate decided, in plan order."""
    needed(run, "curate")
    where, fix = f"{run.store.uri}/{layout.CURATED}", commits.made_again("curate")
    return [parsed(Decision, line, where, fix) for line in run.store.read(layout.CURATED).splitlines()]
