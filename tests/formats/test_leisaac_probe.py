"""Files over which HDF5's own library hangs or crashes: found in another process, told with the file's name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import DefectError, InputError, RetryError
from leicos_jobs.formats import leisaac_probe
from leicos_jobs.formats.leisaac_probe import probe


def with_endless_heap(path: Path) -> Path:
    """A recording whose global heap (HDF5 file format, III.E: 16 bytes of header, then objects of a 16-byte header:
    index, references, reserved, size) begins with free space (index 0) of no size: libhdf5 2.0.0 stays there."""
    data = bytearray(write_recording(path, [DemoSpec(rows=12)]).read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 32] = bytes(16)
    path.write_bytes(data)
    return path


def test_a_file_over_which_the_library_hangs_is_named(tmp_path: Path) -> None:
    path = with_endless_heap(tmp_path / "endless.hdf5")
    read = f"import h5py; h5py.File({str(path)!r})['data'].attrs['env_args']"
    with pytest.raises(subprocess.TimeoutExpired):  # it does hang
        subprocess.run([sys.executable, "-c", read], timeout=5, check=False, capture_output=True)
    with pytest.raises(InputError, match=r"endless\.hdf5: is damaged: HDF5's library hangs") as caught:
        probe(path, patience=2.0)
    assert caught.value.fix


def test_a_sound_file_and_what_exceptions_can_tell_pass(tmp_path: Path) -> None:
    probe(write_recording(tmp_path / "sound.hdf5", [DemoSpec(rows=12)] * 2))
    (tmp_path / "text.hdf5").write_text("no HDF5")
    probe(tmp_path / "text.hdf5")
    probe(tmp_path / "missing.hdf5")


def test_a_crash_a_killed_process_and_a_defect_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=12)])
    for end, error, text in (
        ("kill -SEGV $$", InputError, "crashes over demo_0"),
        ("kill -KILL $$", RetryError, "ended with -9"),
        ("echo RecursionError >&2; exit 1", DefectError, "broke over demo_0"),
    ):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\necho demo_0\n{end}\n")
        python.chmod(0o755)
        monkeypatch.setattr(leisaac_probe.sys, "executable", str(python))
        with pytest.raises(error, match=text):
            probe(path)
