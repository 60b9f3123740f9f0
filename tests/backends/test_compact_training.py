"""The whole of `compact` on a world of three squares: does it learn, is it the same every time, does it refuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compact_scene import make_dataset, make_video, motion
from pydantic import ValidationError

from leicos_jobs.backends.compact.backend import CompactLabeller, CompactTrainer
from leicos_jobs.backends.compact.settings import CompactSettings, LabellerSettings
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import LabelRequest, TrainRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.judge import metrics
from leicos_jobs.testing.backend_contract import LabellerContract

TINY = {
    "image_width": 96, "channels": (12, 16), "blocks": 0, "hidden": 64, "steps": 40, "head_steps": 30, "batch": 16,
    "threads": 1, "device": "cpu", "checkpoint_every": 5, "kinematics": "off",
}  # fmt: skip
EPISODES = 10
HELD_OUT = range(EPISODES - 2, EPISODES)


def request(dataset: Path, out: Path, **changes: object) -> TrainRequest:
    values: dict[str, object] = {
        "dataset": dataset,
        "robot": SO101,
        "camera": "front",
        "train": range(EPISODES - 2),
        "seed": 4,
        "out": out,
        "resume": out.with_name("resume"),
        "report": lambda done, total: None,
    }
    return TrainRequest(**(values | changes))  # type: ignore[arg-type]


def trainer(**changes: object) -> CompactTrainer:
    return CompactTrainer(CompactSettings(**(TINY | changes)), Path())  # type: ignore[arg-type]


def labeller(artifact: Path, **settings: object) -> CompactLabeller:
    return CompactLabeller(LabellerSettings(threads=1, device="cpu", **settings), artifact, Path())  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("squares") / "dataset", EPISODES)


@pytest.fixture(scope="session")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("trained") / "artifact"
    reports: list[tuple[int, int]] = []
    facts = trainer(steps=400, head_steps=200, checkpoint_every=100, channels=(16, 24)).train(
        request(dataset, out, report=lambda done, total: reports.append((done, total)))
    )
    assert reports == [(100, 400), (200, 400), (300, 400), (400, 400)]
    return out, facts.facts()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_labels_beat_both_baselines_on_demos_held_out(trained: tuple[Path, dict], dataset: Path) -> None:
    opened = Dataset(dataset)
    truths = [opened.episode(index).actions for index in range(EPISODES)]
    labels = [labeller(trained[0]).label(opened.video_path(index, "front")) for index in HELD_OUT]
    windows = metrics.judge(
        labels, [truths[index] for index in HELD_OUT], truths[: EPISODES - 2], SO101.action.degrees_per_unit(),
        SO101.action.motor_limits(),
    )["windows"]  # fmt: skip
    assert windows["count"] > 0
    assert np.mean(windows["labels"]) < 0.35 * np.mean(windows["first_row"])
    assert np.mean(windows["labels"]) < 0.25 * np.mean(windows["mean_action"])


def test_row_k_belongs_to_frame_k(trained: tuple[Path, dict], tmp_path: Path) -> None:
    actions, states = motion(np.random.default_rng(90), 60)
    labels = labeller(trained[0]).label(make_video(tmp_path / "v.mp4", states))
    shifted = [np.abs(labels[2:-2] - actions[2 + by : len(actions) - 2 + by]).mean() for by in (-2, -1, 0, 1, 2)]
    assert np.argmin(shifted) == 2


def test_labels_do_not_depend_on_batch_order_name_or_seed(trained: tuple[Path, dict], tmp_path: Path) -> None:
    rng = np.random.default_rng(91)
    videos = [make_video(tmp_path / f"{index}.mp4", motion(rng, 20 + 7 * index)[1]) for index in range(3)]
    one = labeller(trained[0])
    begun: list[str] = []
    together = {
        result.sample: result.actions
        for result in one.process([LabelRequest(video.stem, video, 1) for video in videos], begun.append)
    }
    assert begun == ["0", "1", "2"]
    for video in reversed(videos):
        renamed = video.rename(tmp_path / f"other{video.stem}.mp4")
        alone = next(iter(labeller(trained[0]).process([LabelRequest("x", renamed, 2)], lambda _: None)))
        assert np.array_equal(alone.actions, together[video.stem])
    assert [len(together[name]) for name in ("0", "1", "2")] == [20, 27, 34]


class TestContract(LabellerContract):
    @pytest.fixture
    def backend(self, trained: tuple[Path, dict]) -> CompactLabeller:
        return labeller(trained[0])

    @pytest.fixture
    def frames(self) -> list[int]:
        return [20, 27, 34]

    @pytest.fixture
    def requests(self, frames: list[int], tmp_path: Path) -> list[LabelRequest]:
        rng = np.random.default_rng(91)
        videos = [make_video(tmp_path / f"{count}.mp4", motion(rng, count)[1]) for count in frames]
        return [LabelRequest(f"{index:020x}", video, index) for index, video in enumerate(videos)]


def test_smoothing_is_off_unless_asked_for_and_recorded(trained: tuple[Path, dict], tmp_path: Path) -> None:
    request = LabelRequest("x", make_video(tmp_path / "v.mp4", motion(np.random.default_rng(92), 30)[1]), 0)
    smooth = next(labeller(trained[0], smoothing="hann").process([request], lambda _: None))
    plain = next(labeller(trained[0]).process([request], lambda _: None))
    assert (smooth.notes, plain.notes) == ({"smoothing_rows": 7}, {"smoothing_rows": 1})
    assert np.abs(np.diff(smooth.actions, axis=0, n=2)).sum() < np.abs(np.diff(plain.actions, axis=0, n=2)).sum()
    with pytest.raises(ValidationError, match="must be odd"):
        LabellerSettings(smoothing_rows=4)


@pytest.mark.parametrize("kinematics", ["off", "auto"])
def test_the_full_recipe_runs(dataset: Path, tmp_path: Path, kinematics: str) -> None:
    """On the CPU and with few maps: bfloat16, four scales, blocks; a robot that the pictures do not show."""
    narrow = {
        "size": "full",
        "channels": (4, 4, 6, 8),
        "steps": 2,
        "head_steps": 2,
        "batch": 4,
        "threads": 1,
        "device": "cpu",
    }
    settings = CompactSettings(**narrow, kinematics=kinematics)  # type: ignore[arg-type]
    assert settings.recipe().bf16
    facts = CompactTrainer(settings, Path()).train(request(dataset, tmp_path / "artifact")).facts()
    assert not facts["geometry"]["used"]


def test_two_trainings_give_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        trainer().train(request(dataset, tmp_path / name / "artifact"))
    assert files(tmp_path / "a/artifact") == files(tmp_path / "b/artifact")
    trainer().train(request(dataset, tmp_path / "c/artifact", seed=5))
    assert files(tmp_path / "c/artifact")["model.pt"] != files(tmp_path / "a/artifact")["model.pt"]


CHILD = """
import sys
from pathlib import Path
from test_compact_training import request, trainer
trainer().train(request(Path(sys.argv[1]), Path(sys.argv[2]), report=lambda done, total: print(done, flush=True)))
"""


def test_a_training_killed_and_started_again_ends_in_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    trainer().train(request(dataset, tmp_path / "whole/artifact"))
    out = tmp_path / "killed/artifact"
    command = [sys.executable, "-c", CHILD, str(dataset), str(out)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 15:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    assert not (out / "artifact.json").exists()
    steps: list[int] = []
    trainer().train(request(dataset, out, report=lambda done, total: steps.append(done)))
    assert steps[0] > 15
    assert files(out) == files(tmp_path / "whole/artifact")


def test_a_checkpoint_of_another_training_is_not_gone_on_from(dataset: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    trainer(steps=10).train(request(dataset, tmp_path / "artifact"))
    trainer(steps=10).train(request(dataset, tmp_path / "artifact", seed=9, report=lambda done, _: steps.append(done)))
    assert steps == [5, 10]


@pytest.mark.parametrize(
    ("size", "fps", "said"), [((128, 96), 30, r"128x96.*96x72"), ((96, 72), 15, "15 frames/s.*30")]
)
def test_videos_of_another_geometry_or_rate_are_refused(
    trained: tuple[Path, dict], tmp_path: Path, size: tuple[int, int], fps: float, said: str
) -> None:
    video = make_video(tmp_path / "v.mp4", motion(np.random.default_rng(1), 8)[1], size, fps)
    with pytest.raises(InputError, match=said):
        labeller(trained[0]).label(video)


def test_an_artifact_says_what_it_is_and_refuses_changed_parts(trained: tuple[Path, dict], tmp_path: Path) -> None:
    facts = json.loads((trained[0] / "artifact.json").read_text())
    assert (facts["geometry"], facts["fps"], facts["robot"], facts["seed"]) == ([96, 72], 30.0, "so101", 4)
    assert facts["train_episodes"] == list(range(8))
    copy = tmp_path / "copy"
    shutil.copytree(trained[0], copy)
    weights = bytearray((copy / "model.pt").read_bytes())
    weights[-1] ^= 1
    (copy / "model.pt").write_bytes(weights)
    with pytest.raises(InputError, match=r"model\.pt is not the file"):
        labeller(copy)
    for field, value in (("fps", 15.0), ("normalisation", facts["normalisation"] | {"mean": [0.0] * 6}), ("seed", 5)):
        (copy / "artifact.json").write_text(json.dumps(facts | {field: value}))
        with pytest.raises(InputError, match=r"artifact\.json was changed after training"):
            labeller(copy)
    (copy / "artifact.json").write_text(json.dumps(facts | {"format": "other"}))
    with pytest.raises(InputError, match="format 'other'"):
        labeller(copy)
    with pytest.raises(InputError, match="does not describe a compact model"):
        labeller(tmp_path)


def spoil(dataset: Path, tmp_path: Path, change: str) -> Path:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    path = copy / "data/chunk-000/episode_000001.parquet"
    columns = pq.read_table(path).to_pydict()
    if change == "nan":
        columns["action"][7][2] = float("nan")
    elif change == "short":
        columns = {name: values[:-1] for name, values in columns.items()}
    elif change == "narrow":
        columns["action"] = [row[:5] for row in columns["action"]]
    pq.write_table(pa.table(columns), path)
    return copy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nan", "action is not finite in row 7"),
        ("short", r"49 frames, its parquet 48"),
        ("narrow", "a row holds .* numbers, not 6"),
    ],
)
def test_bad_episodes_are_refused_by_name(dataset: Path, tmp_path: Path, change: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        trainer().train(request(spoil(dataset, tmp_path, change), tmp_path / "artifact"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"camera": "wrist"}, "no camera 'wrist'"),
        ({"train": []}, "no training episode"),
        ({"train": [99]}, "episode_000099"),
    ],
)
def test_bad_requests_are_refused(dataset: Path, tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        trainer().train(request(dataset, tmp_path / "artifact", **changes))


def test_a_stop_is_obeyed_and_what_was_done_stays(dataset: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        trainer().train(request(dataset, tmp_path / "artifact", report=stop))
    steps: list[int] = []
    trainer().train(request(dataset, tmp_path / "artifact", report=lambda done, _: steps.append(done)))
    assert steps[0] == 10


def test_training_time_is_told_in_parts(trained: tuple[Path, dict]) -> None:
    assert set(trained[1]["seconds"]) == {"read", "encoder", "head"}
