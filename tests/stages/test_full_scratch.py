"""A full TMPDIR is a passing fault that names the variable: never a defect, and never a sample's or a demo's fault."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.command_line import leicos
from helpers.leisaac import DemoSpec, write_recording
from helpers.plain_stage import PlainStage, Result, made, name

from leicos_jobs.backends.base import Processor, Started
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core.errors import ExitCode, LeicosError, RetryError, no_room, writing
from leicos_jobs.run import failures
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.work.worker import Checked, Worker


def full(path: Path) -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class Fills(Processor[str, Result]):
    """A backend whose own writing finds no room at one sample."""

    def __init__(self, how: str) -> None:
        self.how = how
        if how == "loading":
            raise full(Path("weights"))

    def process(self, requests: Sequence[str], started: Started) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            if sample == name(1):
                if self.how == "number":
                    raise full(Path("video.mp4"))
                if self.how == "writing":
                    with writing(Path("video.mp4")):
                        raise full(Path("video.mp4"))
                if self.how == "words of a foreign program":
                    raise RuntimeError("torchrun ended with 1: OSError: [Errno 28] No space left on device")
                if self.how == "quota":
                    raise OSError(errno.EDQUOT, "Disk quota exceeded")
            yield Result(sample)


class Stage(PlainStage):
    how = ""

    def spec(self, scratch: Path) -> BackendSpec:
        return BackendSpec("test_full_scratch:Fills", {"how": self.how})

    def check(self, state: State, result: Any, scratch: Path) -> Checked:
        if state.sample.id == name(1) and self.how == "checking":
            raise full(scratch / "labels.parquet")
        return super().check(state, result, scratch)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = RunConfig.model_validate({"source": {"files": ["a.hdf5"], "task": "Lift."}})
    return create_run(str(tmp_path / "run"), config, known={"a.hdf5": "sha256:0"})


@pytest.mark.parametrize("how", ["loading", "number", "writing", "words of a foreign program", "quota", "checking"])
def test_no_sample_is_blamed_for_a_full_disk(how: str, run: Run) -> None:
    stage = Stage(run)
    stage.how = how
    with pytest.raises((LeicosError, OSError)) as caught:
        Worker(stage, [made(number) for number in range(3)], "shard-0").work()
    told = no_room(caught.value)
    assert told is not None
    assert "TMPDIR" in str(told.fix)
    stage.how = ""
    Worker(stage, [made(number) for number in range(3)], "shard-0").work()
    assert failures.read_all(run.store, "replay") == {}
    assert len(list(run.store.list("replay/"))) == 3


def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=False).returncode
    ):
        pytest.skip("only root may mount a small disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture(params=["4k", "16k", "64k"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "disk", request.param)


def test_a_stage_whose_scratch_is_full_says_try_again_and_names_the_variable(disk: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=300), DemoSpec(rows=300)])
    config = tmp_path / "c.yaml"
    config.write_text(f"source: {{files: [{source}], task: Lift.}}\nvideo: {{crf: 0}}")
    for arguments in (("start", "--config", config), ("convert",)):
        done = leicos(*arguments, "--run", tmp_path / "run", env=os.environ | {"TMPDIR": str(disk)})
    assert done.returncode == ExitCode.RETRY, done.stderr
    assert "Traceback" not in done.stderr
    assert "no space left for " in done.stderr
    assert "TMPDIR" in done.stderr
    assert not (tmp_path / "run/records/convert.json").exists()


@pytest.mark.parametrize("write", ["json", "parquet", "numpy", "hdf5"])
def test_every_library_s_words_for_a_full_disk_are_known(write: str, disk: Path) -> None:
    data = np.random.default_rng(0).bytes(200_000)
    writes = {
        "json": lambda: (disk / "a.json").write_bytes(data),
        "parquet": lambda: pq.write_table(pa.table({"a": [data]}), disk / "a.parquet"),
        "numpy": lambda: np.save(disk / "a.npy", np.frombuffer(data, np.uint8)),
        "hdf5": lambda: hdf5(disk / "a.hdf5", data),
    }
    with pytest.raises(Exception) as caught:
        writes[write]()
    assert isinstance(no_room(caught.value), RetryError)


def hdf5(path: Path, data: bytes) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = np.frombuffer(data, np.uint8)


def test_other_errors_are_no_full_disks() -> None:
    for error in (OSError(errno.EIO, "I/O error"), ValueError("x"), FileNotFoundError(errno.ENOENT, "gone", "a")):
        assert no_room(error) is None
