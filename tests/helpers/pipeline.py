"""All stages of a run, one after the other in this process: what `leicos run` does, without a process per stage."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import yaml

from leicos_jobs.core.stages import CONTROLS, REPLAY, SHARD, STAGES
from leicos_jobs.run import rounds
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.stages.fan_in import fan_in
from leicos_jobs.stages.start import start
from leicos_jobs.work.worker import Worker

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


def shard(root: Path, name: str, samples: list[Any]) -> None:
    """A per-sample stage on these samples."""
    module = importlib.import_module(f"leicos_jobs.stages.{name}")
    Worker(getattr(module, f"{name.title()}Stage")(open_run(str(root))), samples, f"here-{name}").work()


def run_through(root: Path, config: dict[str, Any], *, amend: bool = False, upto: str = "report") -> Run:
    """Run a configuration to its end, or to a stage. Raises what the stage raises that cannot be done."""
    run = start(str(root), yaml.safe_dump(config), amend=amend)
    for name in ("convert", "cosmos-dataset", "train-idm", "plan"):
        whole(root, name)
        if name == upto:
            return run
    samples = rounds.account(run).missing
    for name in SHARD:
        shard(root, name, samples)
    _, *shards = fan_in(open_run(str(root)))
    for stage, indices in zip((REPLAY, CONTROLS), shards, strict=True):
        for index in indices:
            shard(root, stage.name, rounds.replay_shard(open_run(str(root)), stage, index))
    for name in ("replay-demos", "curate", "assemble", "report"):
        whole(root, name)
        if name == upto:
            break
    return run


def score(root: Path) -> dict[str, Any]:
    """The report's numbers."""
    found: dict[str, Any] = json.loads((root / "report/latest/score.json").read_text())
    return found
