"""Checkpoints of a training are kept until its record is there: a notice while it is published costs no training."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import TrainRequest
from leicos_jobs.core import signals
from leicos_jobs.core.errors import RetryError
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.results import Results
from leicos_jobs.stages import post_train
from leicos_jobs.work import resume


class Trainer:
    """Leaves a checkpoint, and has a notice come when it is done for the first time."""

    trained = True
    found: ClassVar[list[list[str]]] = []
    stop: ClassVar[threading.Event]

    def __init__(self, settings: object, work: Path) -> None: ...

    @staticmethod
    def identity(settings: object) -> dict[str, Any]:
        return {}

    def train(self, request: TrainRequest) -> dict[str, Any]:
        self.found.append(sorted(path.name for path in request.resume.iterdir()))
        (request.resume / "iter_100").write_text("weights")
        request.report(100, 100)
        (request.out / "model.pt").write_text("weights")
        if len(self.found) == 1:
            self.stop.set()
        return {}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    Trainer.found, Trainer.stop = [], threading.Event()
    monkeypatch.setattr(signals, "_stop", Trainer.stop)
    monkeypatch.setattr(resume, "SYNC_SECONDS", 0)
    monkeypatch.setattr(registry, "load", lambda *_names: Trainer)
    monkeypatch.setattr(registry, "settings", lambda *_given: None)
    config = {"source": {"files": ["/none.hdf5"], "task": "Lift."}, "generate": {"backend": "cosmos-predict2.5"}}
    run = create_run(str(tmp_path / "run"), RunConfig.model_validate(config), known={"/none.hdf5": "sha256:0"})
    for stage in ("convert", "cosmos-dataset"):
        run.commits.commit_whole(StageRecord(stage=stage, key=str(Results(run).key(stage))))
    return run


def test_a_notice_after_the_training_and_before_its_record_costs_none_of_it(run: Run) -> None:
    with pytest.raises(RetryError):
        post_train.post_train(run)
    assert [key.rpartition("/")[2] for key in run.store.list("resume/")] == ["iter_100"]
    Trainer.stop.clear()

    post_train.post_train(run)

    assert Trainer.found == [[], ["iter_100"]]
    assert Results(run).current("post-train") is not None
    assert list(run.store.list("resume/")) == []
