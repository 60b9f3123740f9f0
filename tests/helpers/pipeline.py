"""All stages of a run, one after the other in this process: what `leicos run` does, without a process per stage."""

from __future__ import annotations

import importlib
import json
import uuid
from pathlib import Path
from typing import Any

import yaml
from helpers.plots import undrawn

from leicos_jobs.core.stages import CONTROLS, REPLAY, STAGES
from leicos_jobs.run import rounds
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.stages.fan_in import fan_in
from leicos_jobs.stages.start import start
from leicos_jobs.work.pulling import worker_of
from leicos_jobs.work.worker import SampleStage, Worker

QUICK: dict[str, Any] = {
    "idm": {"backend": "oracle"},
    # thresholds for pictures of a usual size
    "gate": {"checks": ["start-frame"], "start_psnr_min": 10},
}
"""Of a configuration whose run takes seconds."""


def whole(root: Path, name: str) -> None:
    """A stage that commits as a whole."""
    module = STAGES[name].module
    getattr(importlib.import_module(f"leicos_jobs.stages.{module}"), module)(open_run(str(root)))


def made(root: Path, name: str) -> SampleStage:
    """A per-sample stage of the run."""
    module = importlib.import_module(f"leicos_jobs.stages.{name}")
    stage: SampleStage = getattr(module, f"{name.title()}Stage")(open_run(str(root)))
    return stage


def work(root: Path, name: str, samples: list[Any]) -> None:
    """A per-sample stage on these samples."""
    Worker(made(root, name), samples, f"here-{name}").work()


def run_through(root: Path, config: dict[str, Any], *, amend: bool = False, upto: str = "report") -> Run:
    """Run a configuration to its end, or to a stage. Raises what the stage raises that cannot be done."""
    run = start(str(root), yaml.safe_dump(config), amend=amend)
    for name in ("convert", "cosmos-dataset", "train-idm", "plan"):
        whole(root, name)
        if name == upto:
            return run
    samples = rounds.account(run).missing
    for name in (stage.name for stage in STAGES.values() if stage.in_round):
        work(root, name, samples)
    workflow = uuid.uuid4().hex
    _, *counts = fan_in(open_run(str(root)), workflow)
    for stage, count in zip((REPLAY, CONTROLS), counts, strict=True):
        for index in range(count):
            worker_of(stage, made(root, stage.name), workflow, stage.name, index).work()
    with undrawn():
        for name in ("replay-demos", "curate", "assemble", "report"):
            whole(root, name)
            if name == upto:
                break
    return run


def score(root: Path) -> dict[str, Any]:
    """The report's numbers."""
    found: dict[str, Any] = json.loads((root / "report/latest/score.json").read_text())
    return found
