"""Checkpoints of a training are kept until its record is there: a notice while it is published costs no training."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from leicos_jobs.backends import base, registry
from leicos_jobs.backends.base import Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult, PostTrainRequest, TrainResult
from leicos_jobs.core import signals
from leicos_jobs.core.errors import RetryError
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.results import Results
from leicos_jobs.stages import post_train
from leicos_jobs.work import resume


class Settings(BaseModel):
    """None."""


class Generator(base.Generator[Settings], name="trained", version=1, trained=True):
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        raise NotImplementedError


class Trainer(base.PostTrainer[Settings], name="trained", version=1):
    """Leaves a checkpoint, and has a notice come when it is done for the first time."""

    found: ClassVar[list[list[str]]] = []
    seeds: ClassVar[list[int]] = []
    stop: ClassVar[threading.Event]

    @classmethod
    def identity(cls, settings: Settings) -> dict[str, Any]:
        return {}

    def train(self, request: PostTrainRequest) -> TrainResult:
        self.seeds.append(request.seed)
        self.found.append(sorted(path.name for path in request.resume.iterdir()))
        (request.resume / "iter_100").write_text("weights")
        request.report(100, 100)
        (request.out / "model.pt").write_text("weights")
        if len(self.found) == 1:
            self.stop.set()
        return TrainResult()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    Trainer.found, Trainer.seeds, Trainer.stop = [], [], threading.Event()
    monkeypatch.setattr(signals, "_stop", Trainer.stop)
    monkeypatch.setattr(resume, "SYNC_SECONDS", 0)
    backends = {"generate": Generator, "post_train": Trainer}
    monkeypatch.setattr(registry, "load", lambda kind, _name: backends[kind])
    return begun(str(tmp_path / "run"))


def begun(uri: str, **more: object) -> Run:
    config = {"source": {"files": ["/none.hdf5"], "task": "Lift."}, "generate": {"backend": "trained"}, **more}
    run = create_run(uri, RunConfig.model_validate(config), known={"/none.hdf5": "sha256:0"})
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


def test_two_trainings_of_one_key_have_one_seed(run: Run, tmp_path: Path) -> None:
    other = begun(str(tmp_path / "other"), plan={"first_seed": 5})
    assert Results(run).key("post-train") == Results(other).key("post-train")
    Trainer.found.append([])  # no notice comes
    for each in (run, other):
        post_train.post_train(each)
    assert len(Trainer.seeds) == 2
    assert len(set(Trainer.seeds)) == 1
