"""What convert leaves out or refuses, and what it leaves behind then: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from conversion import ENVIRONMENT, run
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError, RetryError


def test_odd_ones_out(tmp_path: Path) -> None:
    specs = [DemoSpec(rows=30), DemoSpec(rows=30, stride=3), DemoSpec(rows=30), DemoSpec(rows=30, size=(32, 24))]
    specs.append(DemoSpec(rows=30, images=np.full((30, 48, 64, 3), 90, np.uint8)))
    report = run([write_recording(tmp_path / "a.hdf5", specs)], tmp_path / "out")
    kinds = {entry.demo: entry.kind for entry in report.left_out}
    assert kinds == {"demo_1": "stride-differs", "demo_3": "image-size", "demo_4": "static"}


def test_a_damaged_image_chunk_leaves_its_demo_out(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=40, compression="gzip", chunk_rows=10)] * 2)
    with h5py.File(path) as file:
        place = file["data/demo_0/obs/front"].id.get_chunk_info(2)
    data = bytearray(path.read_bytes())
    data[place.byte_offset : place.byte_offset + 40] = bytes(40)
    path.write_bytes(data)
    report = run([path], tmp_path / "out")
    assert [(entry.demo, entry.kind) for entry in report.left_out] == [("demo_0", "unreadable")]


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([DemoSpec(success=False), DemoSpec(success=None)], "marked as failed"),
        ([DemoSpec(width=8)], "keyboard"),
        ([DemoSpec(nan=("actions", 3, 1))], "nan at row 3, shoulder_lift"),
        ([DemoSpec(rows=0)], "no rows"),
        ([DemoSpec(cameras=("top",))], "cameras that it has: top"),
        ([DemoSpec(step_at=(20,))], "uneven"),
        ([], "0 in all"),
    ],
)
def test_no_demo_left_is_an_input_error_and_nothing_is_written(
    tmp_path: Path, specs: list[DemoSpec], said: str
) -> None:
    source = write_recording(tmp_path / "a.hdf5", specs)
    with pytest.raises(InputError) as caught:
        run([source], tmp_path / "out")
    assert said in str(caught.value)
    assert "a.hdf5" in str(caught.value)
    assert caught.value.exit_code == 78
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_strict_refuses_what_did_not_simply_fail(tmp_path: Path) -> None:
    good = write_recording(tmp_path / "good.hdf5", [DemoSpec(), DemoSpec(success=False)])
    assert run([good], tmp_path / "out", strict=True).episodes == 1
    bad = write_recording(tmp_path / "bad.hdf5", [DemoSpec(), DemoSpec(step_at=(20,))])
    with pytest.raises(InputError, match="demo_1 is left out: irregular"):
        run([bad], tmp_path / "out2", strict=True)
    assert not (tmp_path / "out2").exists()


def test_folders_that_are_not_ours_stay(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        run([source], tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").exists()
    with pytest.raises(InputError, match="not a folder"):
        run([source], source)
    assert source.exists()


def test_wrong_files_are_named(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    (tmp_path / "b.hdf5").write_bytes(source.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"b\.hdf5: is truncated"):
        run([source, tmp_path / "b.hdf5"], tmp_path / "out")
    with pytest.raises(InputError, match="does not say its control rate"):
        run([source], tmp_path / "out", control_hz=None)
    with pytest.raises(InputError, match="no file"):
        run([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        run([source], tmp_path / "file" / "out")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 96, 128, 3), dtype=np.uint8)
    source = write_recording(
        tmp_path / "a.hdf5", [DemoSpec(rows=60, size=(128, 96), images=np.repeat(noise, 1, axis=0))]
    )
    script = (
        "import resource, signal, sys; from pathlib import Path; from conversion import run\n"
        "from leicos_jobs.formats.leisaac_timing import TimeBase\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))\n"
        "try: run([Path(sys.argv[1])], Path(sys.argv[2]), time=TimeBase(row_for_row=True))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.startswith("RetryError no space left"), done.stdout + done.stderr
    assert "free some space" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_a_stop_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec()] * 3)

    def stop() -> None:
        raise RetryError("stopped by a signal")

    monkeypatch.setattr(signals, "check", stop)
    with pytest.raises(RetryError):
        run([source], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]
