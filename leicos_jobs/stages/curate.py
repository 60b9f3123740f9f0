"""curate: which labelled samples enter the synthetic dataset, and why the others do not. Truth has no say.

Success in replay proves labels. Without it, where nobody knows it or it is not required, the run's own checks of its
labels must be green.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.stages import CURATE
from leicos_jobs.core.validation import parsed
from leicos_jobs.judge.proof import prove, sample_problem
from leicos_jobs.run import layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import CurateConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import dump_lines
from leicos_jobs.work.whole import whole_stage


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
    if state.refused is not None:
        return f"gate: {state.refused}"
    if state.label is None:
        return "label: missing"
    if problem := _replay_problem(state, limits):
        return f"replay: {problem}"
    if state.label.facts["outside_share"] > limits.limit_violation_share_max:
        return f"label: {state.label.facts['outside_share']:.1%} of the values are outside the motor range"
    return ""


def _replay_problem(state: State, limits: CurateConfig) -> str:
    if state.no_replay:
        return f"its success is not known: {state.no_replay}" if limits.require_success else ""
    if (metrics := state.metrics) is None:
        return "missing"
    if limits.require_success and not metrics.success:
        return "the task is not done"
    if metrics.tracking_error_deg > limits.tracking_error_deg_max:
        return f"tracking error {metrics.tracking_error_deg:.1f} degrees"
    return ""


def is_unproven(state: State, limits: CurateConfig) -> bool:
    """Whether a sample has labels that no replay proves: success is unknown, or failure is allowed."""
    if state.label is None:
        return False
    success = None if state.metrics is None else state.metrics.success
    return success is None or not (success or limits.require_success)


def curate(run: Run) -> StageRecord:
    """Run the stage. None may be left: then there is no dataset, and the report says why before it fails."""
    results = Results(run)
    results.needed("plan")
    standing, limits = results.samples_standing, run.config.curate
    unjudged = [state for state in standing.states if is_unproven(state, limits)]

    def judged(state: State, unproven: str) -> Decision:
        decision = decide(state, limits)
        if decision.accepted and unproven and not limits.accept_unproven:
            return decision.model_copy(update={"accepted": False, "reason": f"label: {unproven}"})
        failure = standing.quarantined.get(state.sample.id)
        if decision.accepted or failure is None:
            return decision
        return decision.model_copy(update={"reason": f"{failure.stage}: quarantined: {failure.error}"})

    def build(folder: Path) -> dict[str, Any]:
        proof, unproven = None, dict[str, str]()
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            if unjudged:
                proof = prove(results, Path(name))
                unproven = {
                    state.sample.id: sample_problem(run, state, proof, limits, Path(name)) for state in unjudged
                }
        decisions = [judged(state, unproven.get(state.sample.id, "")) for state in standing.states]
        (folder / layout.CURATED).write_bytes(dump_lines(decisions))
        reasons = Counter(item.reason.split(":")[0] for item in decisions if not item.accepted)
        facts = {"accepted": sum(item.accepted for item in decisions), "left_out": dict(reasons)}
        if proof is not None:
            count = sum(bool(unproven[item.sample]) for item in decisions if item.sample in unproven and item.accepted)
            facts |= {"judged_by_checks": len(unjudged), "checks": proof.facts(), "accepted_unproven": count}
        return facts

    return whole_stage(results, CURATE, build)


def read_decisions(results: Results) -> list[Decision]:
    """What curate decided, in plan order."""
    record = results.needed("curate")
    lines = results.run.commits.read_lines(record, layout.CURATED)
    return [parsed(Decision, line, record.path(layout.CURATED)) for line in lines]
