"""Damaged recordings, converted and inspected. A subject of `fuzz.py`."""

from __future__ import annotations

import random
from pathlib import Path

from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import LeicosError
from leicos_jobs.robots.embodiment import SO101
from leicos_jobs.stages import convert as stage
from leicos_jobs.stages import inspect as look

SUFFIX = ".hdf5"


def good(folder: Path, chance: random.Random) -> bytes:
    """A sound recording of two demos, one compressed, one contiguous."""
    specs = [
        DemoSpec(rows=30, compression=chance.choice(["gzip", "lzf"])),
        DemoSpec(rows=24, compression=None, chunk_rows=None),
    ]
    return write_recording(folder / "good.hdf5", specs).read_bytes()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a few short runs of bytes, half of them near the start where HDF5 keeps its structure; maybe cut."""
    broken = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(broken) if chance.random() < 0.5 else min(len(broken), 20_000))
        length = chance.choice([1, 1, 4, 30])
        broken[place : place + length] = chance.randbytes(length)
    return bytes(broken[: chance.randrange(len(broken))] if chance.random() < 0.1 else broken)


def convert(path: Path, out: Path) -> None:
    """Convert it; if that fails, the dataset's folder must be gone."""
    options = stage.ConvertOptions(SO101, "Lift.", control_hz=60, workers=1)
    try:
        stage.convert([path], out, options)
    except LeicosError as error:
        if out.exists():
            raise AssertionError(f"{out} was left behind after {error}") from error
        raise


def inspect(path: Path, out: Path) -> None:
    """Say what is in it."""
    look.inspect(path, workers=1).text()


WORKS = (convert, inspect)
