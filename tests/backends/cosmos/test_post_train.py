"""Post-training against a fake torchrun: upstream's arguments, checkpoints that survive, an export that is checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cosmos_helpers import fake_settings

from leicos_jobs.backends.cosmos_predict25 import post_train, resident
from leicos_jobs.backends.cosmos_predict25.artifact import WEIGHTS, load_artifact
from leicos_jobs.backends.cosmos_predict25.checkpoints import hand_over, latest, restore
from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator
from leicos_jobs.backends.cosmos_predict25.post_train import CosmosPostTrainer, check_dataset
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.backends.requests import PostTrainRequest
from leicos_jobs.core.errors import DefectError, InputError, RetryError
from leicos_jobs.media.encode import write_video


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post_train, "POLL_SECONDS", 0.05)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "cosmos-dataset"
    (folder / "videos").mkdir(parents=True)
    (folder / "metas").mkdir()
    for number in (1, 2):
        images = [np.full((48, 64, 3), (number * 40 + index) % 200, np.uint8) for index in range(95)]
        write_video(folder / "videos" / f"{number}.mp4", images, 30)
        (folder / "metas" / f"{number}.txt").write_text("Lift_the_red_cube_up")
    return folder


class Training:
    """A trainer's surroundings: what it is given, and what it reported."""

    def __init__(self, tmp_path: Path, dataset: Path) -> None:
        self.tmp_path, self.dataset = tmp_path, dataset
        self.resume, self.out = tmp_path / "resume", tmp_path / "out"
        self.resume.mkdir()
        self.reported: list[tuple[int, int]] = []
        self.stop_at = 10**9

    def report(self, done: int, total: int) -> None:
        self.reported.append((done, total))
        if done >= self.stop_at:
            raise RetryError("stopped by a signal")

    def run(self, attempt: str, **train: Any) -> dict[str, Any]:
        settings = fake_settings(post_train={"steps": 60, "save_every": 20, **train})
        work = self.tmp_path / attempt
        work.mkdir()
        request = PostTrainRequest(
            dataset=self.dataset, size=(640, 480), seed=21, out=self.out, resume=self.resume, report=self.report
        )  # fmt: skip
        return CosmosPostTrainer(settings, work).train(request).facts()


@pytest.fixture
def training(tmp_path: Path, dataset: Path) -> Training:
    return Training(tmp_path, dataset)


def test_it_publishes_a_checkpoint_with_its_digest_that_the_generator_loads(training: Training, tmp_path: Path) -> None:
    facts = training.run("a", gpus=8)
    artifact = load_artifact(training.out)
    assert (artifact.steps, artifact.size, artifact.videos) == (60, (640, 480), 2)
    assert artifact.prompts == ("Lift_the_red_cube_up",)
    assert "model 60" in (training.out / WEIGHTS).read_text()
    assert sorted(path.name for path in training.out.iterdir()) == ["artifact.json", WEIGHTS]
    assert (facts["resumed_from"], facts["gpus"]) == (0, 8)
    assert training.reported[-1] == (60, 60)
    CosmosGenerator(fake_settings(), training.out, tmp_path / "w").close()
    (training.out / WEIGHTS).write_text("another file")
    with pytest.raises(InputError, match="is not the file"):
        CosmosGenerator(fake_settings(), training.out, tmp_path / "w2")


def test_a_lost_pod_goes_on_from_the_last_checkpoint(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TRAIN_DIES_AT", "47")
    with pytest.raises(RetryError, match="exit code 1"):
        training.run("a")
    monkeypatch.setenv("FAKE_TRAIN_DIES_AT", "-1")
    names = sorted(path.name for path in training.resume.iterdir())
    assert names == ["iter_000000040", "iter_000000040.json"], "only the newest is kept"
    facts = training.run("b")
    assert facts["resumed_from"] == 40
    assert "from 40" in (training.out / WEIGHTS).read_text()


def test_a_checkpoint_that_arrived_in_part_is_passed_over(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TRAIN_DIES_AT", "27")
    with pytest.raises(RetryError):
        training.run("a")
    monkeypatch.setenv("FAKE_TRAIN_DIES_AT", "-1")
    shutil.copytree(training.resume / "iter_000000020", training.resume / "iter_000000040")
    manifest = json.loads((training.resume / "iter_000000020.json").read_text())
    (training.resume / "iter_000000040.json").write_text(json.dumps(manifest | {"optim/__1_0.distcp": 7}))
    assert training.run("b")["resumed_from"] == 20


def test_a_stop_ends_the_training_and_keeps_its_checkpoint(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.02")
    training.stop_at = 20
    with pytest.raises(RetryError, match="signal"):
        training.run("a", steps=2000, save_every=20)
    assert any(training.resume.glob("iter_*.json"))


def test_a_training_that_never_got_anywhere_is_no_retry(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TRAIN_DIES_AT", "3")
    monkeypatch.setenv("FAKE_TRAIN_OOM", "1")
    with pytest.raises(DefectError, match="CUDA out of memory"):
        training.run("a")


def test_base_weights_that_do_not_fit_fail_the_job(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """The EMA's own report, where all keys are missing at the start, is expected and does not count."""
    monkeypatch.setenv("FAKE_MISSING_KEYS", "blocks.0.attn.weight")
    monkeypatch.setenv("FAKE_STEP_SECONDS", "0.05")
    with pytest.raises(InputError, match=r"base model.*blocks\.0\.attn\.weight"):
        training.run("a")


def test_an_export_that_was_not_checked_is_not_published(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another upstream, whose log has another form: then nobody knows whether the keys fit."""
    monkeypatch.setenv("FAKE_SILENT_LOG", "1")
    monkeypatch.setattr(resident, "LOG_SECONDS", 0.2)
    with pytest.raises(DefectError, match="says nothing of its keys"):
        training.run("a")
    assert not (training.out / "artifact.json").exists()
    assert training.run("b", check_export=False)["resumed_from"] == 60


def test_an_export_that_does_not_fit_fails_the_job(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base loads, the exported checkpoint does not: found when it is loaded once before it is published."""
    monkeypatch.setenv("FAKE_MISSING_KEYS_OF_PT", "blocks.1.mlp.weight")
    with pytest.raises(InputError, match=r"model_ema_bf16\.pt does not fit.*blocks\.1\.mlp\.weight"):
        training.run("a")
    assert not (training.out / "artifact.json").exists()


def test_datasets_that_upstream_would_pass_over_in_silence_are_refused(dataset: Path) -> None:
    assert check_dataset(dataset, 93) == (("Lift_the_red_cube_up",), 2)
    with pytest.raises(InputError, match="95 frames"):
        check_dataset(dataset, 95)
    (dataset / "captions").mkdir()
    with pytest.raises(InputError, match="overrule"):
        check_dataset(dataset, 93)
    (dataset / "captions").rmdir()
    (dataset / "metas" / "2.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"2\.txt"):
        check_dataset(dataset, 93)
    (dataset / "metas" / "2.txt").unlink()
    with pytest.raises(InputError, match=r"2\.txt"):
        check_dataset(dataset, 93)


def test_handing_over_and_restoring_keep_every_file(tmp_path: Path) -> None:
    made = tmp_path / "out" / "checkpoints"
    for number in (200, 400):
        folder = made / f"iter_{number:09}"
        for part in ("model", "optim"):
            (folder / part).mkdir(parents=True)
            (folder / part / "__0_0.distcp").write_text(f"{part} {number}")
        (made / "latest_checkpoint.txt").write_text(f"{folder.name}\n")
        (tmp_path / "resume").mkdir(exist_ok=True)
        newest = latest(made)
        assert newest == folder
        hand_over(folder, tmp_path / "resume")
    assert sorted(path.name for path in made.iterdir()) == ["iter_000000400", "latest_checkpoint.txt"]
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert restore(tmp_path / "resume", fresh) == 400
    assert (fresh / "iter_000000400" / "optim" / "__0_0.distcp").read_text() == "optim 400"
    assert restore(tmp_path / "nothing", fresh) == 0


def test_only_settings_of_the_training_identify_a_checkpoint() -> None:
    assert CosmosPostTrainer.identity(CosmosSettings(guidance=3)) == {}
    assert CosmosPostTrainer.identity(CosmosSettings(post_train={"wandb": True})) == {}
    assert CosmosPostTrainer.identity(CosmosSettings(post_train={"steps": 7})) == {"post_train": {"steps": 7}}
