"""LeIsaac's HDF5 -> LeRobot -> LeIsaac's HDF5: the same targets, the same start; what cannot go back is refused."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.leisaac import DemoSpec, image_numbers, read_code, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.cli.main import main
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.convert.to_leisaac import to_leisaac
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.formats.episode_starts import read_starts
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_layout import STARTS
from leicos_jobs.formats.lerobot_read import Dataset

TASK = "Lift the red cube up."
FIRST = 5


def converted(folder: Path, specs: list[DemoSpec], *, row_for_row: bool = True) -> tuple[Path, Dataset]:
    source = write_recording(folder / "demos.hdf5", specs)
    options = ConvertOptions(SO101, TASK, control_hz=60, workers=1, time=TimeBase(row_for_row=row_for_row))
    convert([source], folder / "dataset", options)
    return source, Dataset(folder / "dataset")


def tables(group: h5py.Group) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    group.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def test_row_for_row_and_back_is_the_same_targets_and_the_same_start_bit_for_bit(tmp_path: Path) -> None:
    source, dataset = converted(tmp_path, [DemoSpec(rows=40), DemoSpec(rows=52, success=False), DemoSpec(rows=46)])
    report = to_leisaac(dataset, tmp_path / "back.hdf5", SO101)
    assert (report.episodes, report.rows) == (2, 40 + 46 - 2 * FIRST)
    with h5py.File(source) as before, h5py.File(tmp_path / "back.hdf5") as after:
        assert sorted(after["data"]) == ["demo_0", "demo_1"]
        for new, old in (("demo_0", "demo_0"), ("demo_1", "demo_2")):
            there, here = tables(before[f"data/{old}"]), tables(after[f"data/{new}"])
            np.testing.assert_allclose(here["actions"], there["actions"][FIRST:], rtol=0, atol=5e-7)
            np.testing.assert_allclose(here["obs/joint_pos"], there["obs/joint_pos"][FIRST:], rtol=0, atol=5e-7)
            starts = {name: values for name, values in here.items() if name.startswith("initial_state/")}
            assert starts
            assert starts.keys() == {
                f"initial_{name.replace('states', 'state', 1)}" for name in there if name[:7] == "states/"
            }
            for name, values in starts.items():
                recorded = there[name.replace("initial_state", "states")][FIRST - 1]
                assert values.dtype == recorded.dtype
                assert values.tobytes() == recorded.tobytes(), name
            assert {len(values) for name, values in here.items() if name not in starts} == {
                len(there["actions"]) - FIRST
            }


def test_what_is_read_back_says_whence_it_came(tmp_path: Path) -> None:
    source, dataset = converted(tmp_path, [DemoSpec(rows=40)])
    to_leisaac(dataset, tmp_path / "back.hdf5", SO101)
    with Recording(tmp_path / "back.hdf5") as recording:
        assert recording.control_hz == 60
        demo = recording.demo("demo_0")
        assert (demo.problem, demo.success, demo.rows, demo.task) == (None, True, 35, TASK)
    with h5py.File(tmp_path / "back.hdf5") as file:
        note = json.loads(file["data/demo_0"].attrs["leicos"])
        assert file["data"].attrs["total"] == file["data/demo_0"].attrs["num_samples"] == 35
    assert note["origins"] == {"episode_index": 0, "file": str(source), "demo": "demo_0"}
    assert note["episodes"]["first_row"] == note["row"] == FIRST


def test_frames_stand_at_the_control_rate_with_their_pictures_repeated(tmp_path: Path) -> None:
    spec = DemoSpec(rows=40)
    source, dataset = converted(tmp_path, [spec], row_for_row=False)
    to_leisaac(dataset, tmp_path / "back.hdf5", SO101)
    first, frames = read_starts(dataset.root)[0].row, dataset.entries[0].length
    with h5py.File(source) as before, h5py.File(tmp_path / "back.hdf5") as after:
        there, here = before["data/demo_0"], after["data/demo_0"]
        rows = first + np.arange(2 * frames - 1)  # the last frame's second step holds its target
        np.testing.assert_allclose(here["actions"][:-1, :5], there["actions"][()][rows, :5], rtol=0, atol=2e-6)
        gripper = there["actions"][()][first + 2 * (np.arange(2 * frames) // 2), 5]
        np.testing.assert_allclose(here["actions"][:, 5], gripper, rtol=0, atol=1e-6)
        shown = [read_code(picture)[1] for picture in here["obs/front"]]
    assert shown == [image_numbers(spec)[first + 2 * (row // 2)] for row in range(2 * frames)]


def test_a_dataset_without_simulator_state_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    _, dataset = converted(tmp_path, [DemoSpec(rows=40, omit=["states"]), DemoSpec(rows=42)])
    with pytest.raises(InputError, match=r"no simulator state for 1 of 2 episodes \(0\)") as told:
        to_leisaac(dataset, tmp_path / "back.hdf5", SO101)
    assert "starts.jsonl" in str(told.value)
    assert "convert LeIsaac's recording with its `states`" in str(told.value)
    (dataset.root / STARTS).unlink()
    with pytest.raises(InputError, match=r"for 2 of 2 episodes \(0, 1\)"):
        to_leisaac(dataset, tmp_path / "back.hdf5", SO101)
    assert not list(tmp_path.glob("*back*"))


def leicos(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_the_command_says_what_it_could_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    converted(tmp_path, [DemoSpec(rows=40)])
    out = ("--out", tmp_path / "back.hdf5")
    assert leicos("to-leisaac", tmp_path / "dataset", *out, "--no-simulate", "--no-pictures") == ExitCode.DONE
    assert "1 of 1 episodes have no `states`" in capsys.readouterr().err
    with h5py.File(tmp_path / "back.hdf5") as file:
        assert set(file["data/demo_0"]) == {"actions", "processed_actions", "obs", "initial_state"}
        assert "front" not in file["data/demo_0/obs"]


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("nothing", (), "is neither a LeRobot dataset nor a run"),
        ("dataset", ("--robot", "so101-biarm"), "actions and states are 6 and 6 wide, a so101-biarm's 12 and 12"),
        ("dataset", ("--out", "there.hdf5"), "there.hdf5: exists"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(
    source: str,
    options: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    converted(tmp_path, [DemoSpec(rows=40)])
    (tmp_path / "there.hdf5").touch()
    monkeypatch.chdir(tmp_path)
    assert leicos("to-leisaac", source, "--out", "new.hdf5", *options) == ExitCode.INPUT
    assert said in capsys.readouterr().err
    assert not Path("new.hdf5").exists()
