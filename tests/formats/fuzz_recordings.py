"""Damaged recordings, converted and inspected. A subject of `fuzz.py`."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import h5py
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert import dataset as stage
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.inspect import facts as look

SUFFIX = ".hdf5"


def good(folder: Path, chance: random.Random) -> bytes:
    """A sound recording of two demos, one compressed, one contiguous."""
    specs = [
        DemoSpec(rows=30, compression=chance.choice(["gzip", "lzf"])),
        DemoSpec(rows=24, compression=None, chunk_rows=None),
    ]
    return write_recording(folder / "good.hdf5", specs).read_bytes()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Half of them hurt as bytes, half in their structure."""
    return bytes_hurt(data, chance) if chance.random() < 0.5 else structure_hurt(data, chance)


def structure_hurt(data: bytes, chance: random.Random) -> bytes:
    """A file that HDF5 finds nothing wrong with: tables of another kind, shape or length, odd marks, links, holes."""
    memory = io.BytesIO(data)
    with h5py.File(memory, "a") as file:
        for _ in range(chance.choice([1, 1, 2, 4])):
            places: list[str] = []
            file.visit(places.append)
            if not places:
                break
            place = chance.choice(places)
            with suppress(KeyError, ValueError, OSError, RuntimeError, TypeError):  # what is hurt already may resist
                chance.choice(HURTS)(file, place, chance)
    return memory.getvalue()


def other_table(file: h5py.File, place: str, chance: random.Random) -> None:
    """Something else where a table or a group was."""
    del file[place]
    shape = chance.choice(
        [(), (0,), (30,), (30, 6), (30, 6, 1), (0, 6), (30, 0), (30, 48, 64, 3), (30, 47, 64, 3), (1, 6)]
    )
    kind = chance.choice(["f4", "f8", "i4", "u1", "b1", "S5", "c8", h5py.string_dtype()])
    file.create_dataset(place, shape, dtype=kind)


def other_mark(file: h5py.File, place: str, chance: random.Random) -> None:
    """An attribute of any kind on anything."""
    name = chance.choice(["success", "seed", "num_samples", "env_args", "total"])
    values = [
        "False",
        "{}",
        "[1]",
        '{"sim_args": {"dt": 0, "decimation": 1}}',
        2**63 - 1,
        -1,
        1e300,
        float("nan"),
        b"x",
    ]
    file[place].attrs[name] = chance.choice([*values, [True, False], h5py.Empty("f4")])


def link(file: h5py.File, place: str, chance: random.Random) -> None:
    """A link to itself, to nowhere, to the top or to another file."""
    target = chance.choice([place, "/nowhere", "/", "/data"])
    del file[place]
    file[place] = h5py.ExternalLink("other.hdf5", "/data") if chance.random() < 0.2 else h5py.SoftLink(f"/{target}")


def missing(file: h5py.File, place: str, chance: random.Random) -> None:
    """Nothing."""
    del file[place]


def renamed(file: h5py.File, place: str, chance: random.Random) -> None:
    """The same under another name."""
    file.move(
        place, chance.choice(["data/demo_1", "data/demo_007", "data/demo_99999999999999999999", "x", "data/ä b"]) + "_"
    )


def bytes_hurt(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a few short runs of bytes, half of them near the start where HDF5 keeps its structure; maybe cut."""
    broken = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(broken) if chance.random() < 0.5 else min(len(broken), 20_000))
        length = chance.choice([1, 1, 4, 30])
        broken[place : place + length] = chance.randbytes(length)
    return bytes(broken[: chance.randrange(len(broken))] if chance.random() < 0.1 else broken)


def convert(path: Path, out: Path) -> None:
    """Convert it; if that fails, the dataset's folder must be gone."""
    base = TimeBase(row_for_row=path.stem[-1] in "05")
    options = stage.ConvertOptions(SO101, "Lift.", control_hz=60, workers=1, time=base)
    try:
        stage.convert([path], out, options)
    except LeicosError as error:
        if out.exists():
            raise AssertionError(f"{out} was left behind after {error}") from error
        raise


def inspect(path: Path, out: Path) -> None:
    """Say what is in it."""
    look.inspect(path, workers=1).text()


def outside(file: h5py.File, place: str, chance: random.Random) -> None:
    """Values that lie in another file."""
    old = file[place]
    shape, kind = (old.shape, old.dtype) if isinstance(old, h5py.Dataset) else ((30, 6), "f4")
    parent, name = old.parent, place.rpartition("/")[2]
    del file[place]
    if chance.random() < 0.5:
        parent.create_dataset(name, shape, kind, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout(shape, kind)
        layout[...] = h5py.VirtualSource("other.hdf5", "x", shape)
        parent.create_virtual_dataset(name, layout)


def other_values(file: h5py.File, place: str, chance: random.Random) -> None:
    """Another unit, type or order of axes, huge or compressed by a filter that nobody has."""
    old = file[place]
    if not isinstance(old, h5py.Dataset):
        return
    values = old[...]
    del file[place]
    match chance.randrange(5):
        case 0:
            file[place] = values.astype("f8") * chance.choice([-1, 57.3, 1e6, 1e300])
        case 1:
            file[place] = values.astype(chance.choice(["f8", "f2", "u1", "i8", "c8"]))
        case 2:
            file[place] = values.T
        case 3:
            file.create_dataset(place, (len(values), 1 << 40), "f4", chunks=(1, 1 << 20), compression="gzip")
        case 4:
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_chunk(values.shape or (1,))
            plan.set_filter(chance.choice([32001, 32015, 33333]), h5py.h5z.FLAG_OPTIONAL, ())
            kind, space = h5py.h5t.py_create(values.dtype), h5py.h5s.create_simple(values.shape or (1,))
            made = h5py.h5d.create(file.id, place.encode(), kind, space, plan)
            made.write_direct_chunk((0,) * len(made.shape), values.tobytes(), 0)


def other_version(file: h5py.File, place: str, chance: random.Random) -> None:
    """Isaac Lab's mark of how quaternions are stored, and a demo of an odd name."""
    file.attrs["format_version"] = chance.choice([0, 1, 1, 2, -1, "1", 1.0, 2**40])
    if "data/demo_1" in file and chance.random() < 0.5:
        file.move("data/demo_1", chance.choice([b"data/demo_" + b"9" * 6000, b"data/demo_\xff", "data/demo_\u0663"]))


HURTS: tuple[Callable[[h5py.File, str, random.Random], None], ...] = (
    other_table, other_mark, link, missing, renamed, outside, other_values, other_version,
)  # fmt: skip
WORKS = (convert, inspect)
