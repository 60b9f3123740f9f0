"""A finished run's synthetic dataset: back to LeIsaac's HDF5, and merged with the real one that it came from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.command_line import leicos

from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.run import starts
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results

pytestmark = pytest.mark.xdist_group("small-run")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = leicos(*arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def back(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("back") / "back.hdf5"
    run("to-leisaac", undisturbed, "--out", out)
    return out


def test_each_demo_begins_in_its_own_samples_state_and_has_its_labels(undisturbed: Path, back: Path) -> None:
    opened = open_run(str(undisturbed))
    samples = {sample.id: sample for sample in Results(opened).samples()}
    dataset = Dataset(undisturbed / "synthetic/latest")
    with h5py.File(back) as file:
        assert len(file["data"]) == len(dataset)
        for episode in dataset.episodes():
            group = file[f"data/demo_{episode.index}"]
            note = json.loads(group.attrs["leicos"])
            sample = samples[note["provenance"]["sample"]]
            assert (note["row"], note["states"]) == (sample.row0, "mujoco")
            assert bool(group.attrs["success"]) is note["provenance"]["replay"]["success"]
            for path, values in starts.read(opened, sample.start).scene.items():
                assert group[f"initial_state/{path}"][0].tolist() == values
            np.testing.assert_allclose(
                opened.robot.action.to_motor(group["actions"][::2]), episode.actions, rtol=0, atol=1e-4
            )
            states = group["states/articulation/robot/joint_position"]
            np.testing.assert_array_equal(group["obs/joint_pos"][1:], states[:-1])
            assert len(states) == len(group["obs/front"]) == 2 * len(episode)


def test_leicos_reads_it_as_a_recording(back: Path) -> None:
    with Recording(back) as recording:
        assert recording.control_hz == 60
        assert [demo.problem for demo in recording.demos()] == [None] * len(recording.names)


def test_real_and_synthetic_become_one_dataset_with_the_origin_of_each_episode(
    undisturbed: Path, tmp_path: Path
) -> None:
    real, synthetic = undisturbed / "dataset/latest", undisturbed / "synthetic/latest"
    run("merge", real, undisturbed, "--out", tmp_path / "all")
    assert check(tmp_path / "all") == []
    meta = tmp_path / "all/meta/leicos"
    origins, provenance = (
        [json.loads(line) for line in (meta / name).read_text().splitlines()]
        for name in ("origins.jsonl", "provenance.jsonl")
    )
    count = len(Dataset(real))
    assert [line["episode_index"] for line in origins] == list(range(count))
    assert [line["episode_index"] for line in provenance] == list(range(count, count + len(Dataset(synthetic))))
    assert json.loads((tmp_path / "all/meta/modality.json").read_text()) == json.loads(
        (real / "meta/modality.json").read_text()
    )
    run("to-leisaac", tmp_path / "all", "--out", tmp_path / "all.hdf5", "--no-pictures")
    with h5py.File(tmp_path / "all.hdf5") as file:
        assert len(file["data"]) == count + len(provenance)
