"""The whole pipeline over sources of every kind, from `leicos init` to the report: no code for any of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from helpers.identity import PLUGINS
from helpers.lerobot import SO101, DatasetSpec, write_dataset
from helpers.pipeline import QUICK, run_through, score
from helpers.robots import recording

from leicos_jobs.cli.here import init
from leicos_jobs.cli.robots import robot as robot_command
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.robots.embodiment import embodiment

TASKS = ("Wave.", "Point.")
DATASETS = {
    "v2.0, 44 joints, 20 frames per second": DatasetSpec(version="v2.0", joints=44, fps=20, tasks=TASKS),
    "v2.1, 7 joints, two cameras": DatasetSpec(version="v2.1", joints=7, cameras=("front", "wrist"), tasks=TASKS),
    "v3.0, so101, 50 frames per second": DatasetSpec(version="v3.0", names=SO101, fps=50, tasks=TASKS),
    "v3.0, images in tables, gaps": DatasetSpec(
        version="v3.0", joints=5, cameras=(), stored=("top",), numbers=(1, 3, 4, 8), extra=True
    ),
}


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}:{PLUGINS.parent}")


def initial(*arguments: str) -> tuple[dict[str, Any], str]:
    """What `leicos init` writes, cut down to seconds, and what it says on standard error."""
    done = CliRunner().invoke(init, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return yaml.safe_load(done.stdout) | QUICK, done.stderr


def finished(root: Path, config: dict[str, Any], episodes: int) -> dict[str, Any]:
    """Run it; returns the report's numbers. The synthetic dataset is sound, and its labels are the demos' actions."""
    run_through(root, config)
    synthetic = root / "synthetic/latest"
    assert check(synthetic) == []
    assert json.loads((synthetic / "meta/info.json").read_text())["total_episodes"] == episodes
    numbers = score(root)
    assert not [item for item in numbers["checks"] if not item["passed"]]
    error = numbers["idm"]["generated_held_out"]["windows"]["labels_deg"]
    assert np.max(error) < 1e-3
    return numbers


@pytest.mark.parametrize("kind", DATASETS)
def test_a_lerobot_dataset(kind: str, tmp_path: Path) -> None:
    spec = replace(DATASETS[kind], lengths=(40, 44, 48, 52))
    source = write_dataset(tmp_path / "source", spec)
    more = []
    if spec.names is None:
        assert (
            CliRunner().invoke(robot_command, ["from", str(source), "--out", str(tmp_path / "r.yaml")]).exit_code == 0
        )
        more = ["--robot", str(tmp_path / "r.yaml")]
    config, said = initial(str(source), *more)
    config["split"] = {"held_out_share": 0.5}
    config["plan"]["samples"] = 3
    config["curate"]["tracking_error_deg_max"] = 1000  # the made-up motion goes through the table
    assert config["source"].get("task") is None
    assert "task text: each demo's own" in said
    numbers = finished(tmp_path / "run", config, 3)

    records = [json.loads(line) for line in (tmp_path / "run/plan/latest/samples.jsonl").read_text().splitlines()]
    texts = {int(record["demo"].removeprefix("episode_")): record["task"] for record in records}
    places = list(spec.numbers or range(4))
    assert texts == {number: spec.tasks[places.index(number) % len(spec.tasks)] for number in texts}
    assert all(record["prompt"] == record["task"].rstrip(".") for record in records)
    tasks = (tmp_path / "run/synthetic/latest/meta/tasks.jsonl").read_text()
    assert all(json.dumps(text) in tasks for text in texts.values())
    info = json.loads((tmp_path / "run/synthetic/latest/meta/info.json").read_text())
    assert info["fps"] == spec.fps
    assert info["features"]["action"]["shape"] == [spec.joints]
    page = (tmp_path / "run/report/latest/index.html").read_text()
    if spec.names is None:
        assert "switched off, since replay/mujoco has an SO-101" in said
        assert sum(numbers["no_replay"].values()) == 3
        assert "3 samples are not replayed: replay/mujoco has an SO-101" in page
    else:
        assert numbers["no_replay"] == {}
        assert numbers["replay"]["tracking_error_deg"]["labels"] > 0


@pytest.mark.parametrize("name", ["so101-biarm", "lekiwi"])
def test_a_recording_of_another_robot(name: str, tmp_path: Path) -> None:
    robot = embodiment(name)
    source = recording(tmp_path, robot, demos=4)
    config, said = initial(str(source), "--task", "Tidy up.")
    assert config["source"]["robot"] == name
    assert f"no {name}" in said
    config |= {"split": {"held_out_share": 0.5}, "curate": config["curate"] | {"limit_violation_share_max": 1.0}}
    finished(tmp_path / "run", config, config["plan"]["samples"])
    table = pq.read_table(next((tmp_path / "run/synthetic/latest/data").rglob("*.parquet")))
    assert table.schema.field("action").type.list_size == robot.action.width


def test_each_source_may_have_a_task_of_its_own(tmp_path: Path) -> None:
    one = write_dataset(tmp_path / "one", DatasetSpec(names=SO101, lengths=(40, 44)))
    two = write_dataset(tmp_path / "two", DatasetSpec(version="v3.0", names=SO101, lengths=(48, 52)))
    config, _ = initial(str(one), str(two))
    config["source"] |= {"tasks": ["Sweep.", None]}
    config["split"] = {"held_out_share": 0.5}
    run_through(tmp_path / "run", config, upto="plan")
    lines = (tmp_path / "run/dataset/latest/meta/episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["tasks"] for line in lines] == [["Sweep."], ["Sweep."], ["Wave."], ["Wave."]]
