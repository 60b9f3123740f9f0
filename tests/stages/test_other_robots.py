"""Two arms, and an arm on wheels, from a recording to labels: no code was written for either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.leisaac import action
from helpers.robots import recording

from leicos_jobs.backends.compact.backend import CompactLabeller, CompactTrainer
from leicos_jobs.backends.compact.settings import CompactSettings, LabellerSettings
from leicos_jobs.backends.gr00t_dreams import configs
from leicos_jobs.backends.requests import LabelRequest, TrainRequest
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.formats import gr00t
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.robots.embodiment import Embodiment, embodiment
from leicos_jobs.stages.label import check_labels

WIDTHS = {"so101-biarm": (12, 12), "lekiwi": (9, 6)}
DEMOS = 3


@pytest.fixture(params=sorted(WIDTHS))
def robot(request: pytest.FixtureRequest) -> Embodiment:
    return embodiment(request.param)


@pytest.fixture
def dataset(tmp_path: Path, robot: Embodiment) -> Path:
    options = ConvertOptions(robot, "Tidy up.", control_hz=60, workers=1)
    assert convert([recording(tmp_path, robot)], tmp_path / "dataset", options).episodes == DEMOS
    return tmp_path / "dataset"


def test_the_dataset_has_the_robots_own_vectors(dataset: Path, robot: Embodiment, tmp_path: Path) -> None:
    rows = pq.read_table(dataset / "data/chunk-000/episode_000001.parquet")
    widths = tuple(rows.schema.field(name).type.list_size for name in ("action", "observation.state"))
    assert widths == WIDTHS[robot.name]
    assert check(dataset, robot=robot) == []
    assert gr00t.check(dataset, robot, ("front",)) == []
    recorded = robot.action.to_recorded(np.array(rows["action"].to_pylist(), np.float32))
    first = round((float(recorded[0, 0]) - 0.001) / 0.005)
    wanted = [[action(1, first + 2 * row, j) for j in range(recorded.shape[1])] for row in range(len(recorded))]
    assert first in (5, 6)
    assert np.allclose(recorded, wanted, atol=1e-5)
    export_v30(dataset, tmp_path / "v30")
    assert (tmp_path / "v30/meta/info.json").is_file()


def test_init_recognises_the_robot_by_its_tables(tmp_path: Path, robot: Embodiment) -> None:
    assert config_for([recording(tmp_path, robot)], "Tidy up.").source.robot == robot.name


def test_a_compact_model_labels_its_actions(dataset: Path, robot: Embodiment, tmp_path: Path) -> None:
    settings = CompactSettings(
        steps=4, head_steps=4, batch=8, channels=(8, 8), hidden=16, threads=1, device="cpu", image_width=64, crop="none"
    )
    out = tmp_path / "idm"
    request = TrainRequest(dataset, robot, "front", [0, 1], 0, out, tmp_path / "resume", lambda done, total: None)
    facts = CompactTrainer(settings, tmp_path).train(request).facts()
    assert facts["geometry"]["used"] is False
    video = dataset / "videos/chunk-000/observation.images.front/episode_000002.mp4"
    labeller = CompactLabeller(LabellerSettings(threads=1, device="cpu"), out, tmp_path)
    (result,) = labeller.process([LabelRequest("a", video, 1)], lambda sample: None)
    assert result.actions.shape == (len(result.actions), robot.action.width)
    assert check_labels(result.actions, len(result.actions), robot)["rows"] == len(result.actions)


def test_gr00ts_files_follow_from_the_robot(robot: Embodiment) -> None:
    conf = configs.modality_configs(robot, ("front",))
    assert conf["state"]["modality_keys"] == [f"state.{name}" for name in robot.state.names]
    assert conf["action"]["modality_keys"] == [f"action.{name}" for name in robot.action.names]
    assert sorted(gr00t.modality(robot, ("front",))["action"]) == sorted(robot.action.names)
