"""Bad input through the real command: exit code, a message that names file and fix, and nothing that looks finished."""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers import command_line
from helpers.leisaac import DemoSpec, write_recording
from helpers.s3 import S3Server

from leicos_jobs.core.errors import ExitCode

TASK = ("--task", "Lift.", "--workers", "1")
ROWS = 40


def leicos(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return command_line.leicos(*arguments, env=os.environ | environment)


def says(done: subprocess.CompletedProcess[str], code: ExitCode, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "fix: " in done.stderr
    for text in texts:
        assert text in done.stderr


def truncated(path: Path) -> None:
    write_recording(path, [DemoSpec(rows=ROWS)])
    path.write_bytes(path.read_bytes()[:-3000])


def of(*specs: DemoSpec) -> Callable[[Path], object]:
    return lambda path: write_recording(path, list(specs))


RECORDINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncated, "truncated"),
    "no HDF5": (lambda path: path.write_text("a diary"), "not an HDF5"),
    "a folder": (lambda path: path.mkdir(), "a.hdf5"),
    "a link to nowhere": (lambda path: path.symlink_to(path.with_name("gone")), "no such file"),
    "no successful demo": (of(DemoSpec(rows=ROWS, success=False)), "demo_0"),
    "no camera": (of(DemoSpec(rows=ROWS, cameras=())), "front"),
    "actions of another robot": (of(DemoSpec(rows=ROWS, width=8)), "8"),
    "NaN in actions": (of(DemoSpec(rows=ROWS, nan=("actions", 30, 2))), "actions"),
    "no rows": (of(DemoSpec(rows=0)), "demo_0"),
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_that_cannot_be_used_is_named(name: str, tmp_path: Path) -> None:
    make, said = RECORDINGS[name]
    make(tmp_path / "a.hdf5")

    done = leicos("to-lerobot", tmp_path / "a.hdf5", *TASK, "--out", tmp_path / "out")

    says(done, ExitCode.INPUT, str(tmp_path / "a.hdf5"), said)
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_a_video_shorter_than_its_parquet_is_a_problem_and_with_strict_an_error(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS), DemoSpec(rows=2 * ROWS)])
    out = tmp_path / "out"
    assert leicos("to-lerobot", source, *TASK, "--out", out).returncode == ExitCode.DONE
    assert leicos("inspect", out, "--strict").returncode == ExitCode.DONE
    root, config = tmp_path / "run", json.dumps({"source": {"files": [str(source)], "task": "Lift."}})
    for arguments in (("start", "--run", root, "--config", config, "--outputs", tmp_path), ("convert", "--run", root)):
        assert leicos(*arguments).returncode == ExitCode.DONE
    assert leicos("inspect", root, "--strict").returncode == ExitCode.DONE
    for dataset in (out, root / "dataset/latest"):
        short, long = sorted(dataset.glob("videos/*/*/*.mp4"))
        long.write_bytes(short.read_bytes())
    long = out / long.relative_to(dataset)

    lenient, strict = leicos("inspect", out), leicos("inspect", out, "--strict")

    assert lenient.returncode == ExitCode.DONE
    assert lenient.stdout == strict.stdout
    assert f"problem: {long}: has 17 frames for 37 rows" in strict.stdout
    says(strict, ExitCode.INPUT, str(out), "problem(s)")
    says(leicos("inspect", root, "--strict"), ExitCode.INPUT, str(root), "problem(s)")
    says(leicos("to-lerobot", out, "--format", "v3.0", "--out", tmp_path / "v30"), ExitCode.INPUT, long.name)
    assert not (tmp_path / "v30").exists()


def test_a_name_too_long_for_any_disk(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)
    for arguments in (("to-lerobot", path, *TASK, "--out", tmp_path / "out"), ("inspect", path)):
        says(leicos(*arguments), ExitCode.INPUT, "no such file")
    assert list(tmp_path.iterdir()) == []


def test_a_source_in_s3_without_credentials_is_told_as_such(tmp_path: Path) -> None:
    uri = "s3://robots/demos.hdf5"
    for arguments in (("to-lerobot", uri, *TASK, "--out", tmp_path / "out"), ("inspect", uri)):
        says(leicos(*arguments), ExitCode.INPUT, "no S3 credentials", "AWS_ACCESS_KEY_ID")


def test_strict_inspection_of_a_recording_refuses_what_strict_conversion_refuses(tmp_path: Path) -> None:
    """A recording as LeIsaac writes it, without a rate and with failures, is sound; one demo with a NaN is not."""
    usual = [DemoSpec(rows=ROWS, success=number != 3) for number in range(11)]
    for name, specs, code in (
        ("sound", usual, ExitCode.DONE),
        ("nan", [*usual, DemoSpec(rows=ROWS, nan=("actions", 30, 2))], ExitCode.INPUT),
    ):
        source = write_recording(tmp_path / f"{name}.hdf5", specs)
        inspected = leicos("inspect", source, "--strict")
        assert inspected.returncode == code, inspected.stdout + inspected.stderr
        converted = leicos("to-lerobot", source, *TASK, "--out", tmp_path / name, "--strict")
        assert converted.returncode == code, converted.stderr
    says(inspected, ExitCode.INPUT, str(source), "1 problem(s)")
    assert "problem: demo_11: `actions` is nan" in inspected.stdout


@pytest.mark.parametrize("text", ["{threads: [", "[1, 2]", "threads", "{threads: 0}", "{treads: 8}"])
def test_settings_on_the_command_line_that_are_no_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    done = leicos("label-videos", tmp_path, tmp_path / "a.mp4", "--out", tmp_path / "out", "--settings", text)
    says(done, ExitCode.INPUT, "settings")


@pytest.mark.parametrize(("text", "said"), [("a: [", "not YAML"), ("- a\n", "not a manifest")])
def test_a_manifest_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    says(leicos("lint", tmp_path / "a.yaml"), ExitCode.INPUT, said)


def test_five_errors_in_a_configuration_are_all_listed(tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    lines = ("name: Not A Name", "source: {files: [], task: x, robbot: so101}", "time: {control_hz: -60}")
    config.write_text("\n".join([*lines, "generate: {frames: 3}"]))

    done = leicos("run", config, "--out", tmp_path / "out")

    fields = ("name", "source.files", "source.robbot", "time.control_hz", "generate.frames")
    says(done, ExitCode.INPUT, str(config), "5 error(s)", *(f"  {field}: " for field in fields))
    assert not (tmp_path / "out").exists()


def start(root: str, source: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    config = json.dumps({"source": {"files": [source], "task": "Lift."}})
    arguments = ("start", "--run", root, "--config", config, "--outputs", tmp_path / "outputs")
    return leicos(*arguments, **environment)


def test_a_source_that_does_not_exist_is_named_before_a_run_begins(tmp_path: Path) -> None:
    says(start(str(tmp_path / "run"), str(tmp_path / "a.hdf5"), tmp_path), ExitCode.INPUT, str(tmp_path / "a.hdf5"))
    assert not (tmp_path / "run/run.json").exists()


def test_a_bucket_that_does_not_exist_is_named(s3: S3Server, tmp_path: Path) -> None:
    source = str(write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS)]))
    says(start("s3://nowhere/run", source, tmp_path, **s3.environment()), ExitCode.INPUT, "nowhere")


def test_wrong_credentials_are_told_as_such(s3: S3Server, tmp_path: Path) -> None:
    environment = s3.environment() | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    source = str(write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS)]))
    says(
        start(f"s3://{s3.bucket}/refused", source, tmp_path, **environment),
        ExitCode.INPUT,
        "signature",
        "SECRET_ACCESS_KEY",
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system of its own with options; root ignores permissions, but not these."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
        if done.returncode:
            warnings.warn("NOT RUN: full and read-only disks (this account may not mount a tmpfs)", stacklevel=2)
            pytest.skip("may not mount a tmpfs")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("command", ["to-lerobot", "run"])
def test_a_disk_that_may_only_be_read(command: str, disk: Callable[[str], Path], tmp_path: Path) -> None:
    source, out = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=ROWS)]), disk("ro") / "out"
    if command == "run":
        done = leicos("run", "--source", source, "--task", "Lift.", "--out", out)
    else:
        done = leicos(command, source, *TASK, "--out", out)
    says(done, ExitCode.INPUT, str(out), "Read-only file system")


def noisy_recording(path: Path) -> Path:
    """One whose dataset is larger than its file system of 256 kB."""
    noise = np.random.default_rng(0).integers(0, 255, (ROWS, 192, 256, 3), dtype=np.uint8)
    return write_recording(path, [DemoSpec(rows=ROWS, size=(256, 192), images=noise)])


def test_a_disk_that_is_full_may_be_tried_again(disk: Callable[[str], Path], tmp_path: Path) -> None:
    source = noisy_recording(tmp_path / "a.hdf5")
    place = disk("size=256k")
    arguments = (source, *TASK, "--row-for-row", "--out", place / "out")

    says(leicos("to-lerobot", *arguments), ExitCode.RETRY, f"{place}/", "no space left", "free some space")
    assert list(place.iterdir()) == []

    subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
    assert leicos("to-lerobot", *arguments).returncode == ExitCode.DONE


def test_a_run_on_a_full_disk_stops_with_what_to_do_and_shows_no_dataset(
    disk: Callable[[str], Path], tmp_path: Path
) -> None:
    source, out = noisy_recording(tmp_path / "a.hdf5"), disk("size=256k") / "out"

    done = leicos("run", "--source", source, "--task", "Lift.", "--out", out)

    says(done, ExitCode.RETRY, "no space left", "free some space")
    assert not (out / "dataset/latest").exists()
    said = leicos("inspect", out)
    assert said.returncode == ExitCode.DONE
    assert "dataset" not in said.stdout.replace(str(out), "")
