"""Damaged LeRobot folders, both versions: inspected, and the older one exported. A subject of `fuzz.py`.

A "file" is a zip of two folders of the same two episodes, one file of which is damaged.
"""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from helpers.leisaac import paint

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.inspect.facts import inspect as look

SUFFIX = ".zip"

ODD: tuple[Any, ...] = (
    "{episode_index:>3000000000}", "{episode_index.__class__}", "{video_key:06d}", "a\u2028b", 10**400,
    None, 0, -1, 1.5, 1e9, 10**30, float("nan"), float("inf"), True, "", "x", "30", "v3.0", "{chunk_index}", "{nope}/x",
    "{0}", "{episode_index.real}", "../..", "/etc", "\x00", [], {}, [1, 2], [[]], [[1], [1, 2]], {"a": 1},
)  # fmt: skip
"""Values that some field or other does not expect."""


def good(folder: Path, chance: random.Random) -> bytes:
    """Two episodes of six and eight rows with one camera, as v2.1 and as v3.0."""
    writer = DatasetWriter(folder / "good/v21", SO101, ("front",), 30)
    numbers = np.random.default_rng(chance.randrange(1 << 32))
    for episode, length in enumerate((6, 8)):
        actions, states = (numbers.uniform(0, 90, (length, 6)).astype(np.float32) for _ in range(2))
        writer.add_episode(
            actions, states, f"Task {episode}.", {"front": [paint(episode, frame) for frame in range(length)]}
        )
    writer.finish()
    export_v30(folder / "good/v21", folder / "good/v30")
    return _packed({str(path.relative_to(folder / "good")): path.read_bytes() for path in _files(folder / "good")})


def damage(data: bytes, chance: random.Random) -> bytes:
    """Change a value in one file, or a few of its bytes, or cut it, or drop it."""
    files = _unpacked(data)
    name = chance.choice(sorted(files))
    kind = chance.random()
    if kind < 0.05:
        del files[name]
    elif kind < 0.1:
        files[name] = files[name][: chance.randrange(len(files[name]))]
    elif kind < 0.3 or name.endswith(".mp4"):
        broken = bytearray(files[name])
        for _ in range(chance.choice([1, 2, 5])):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        files[name] = bytes(broken)
    elif kind < 0.35:
        files[name] = chance.choice(
            [b"[" * 100_000, b"9" * 5000, b"{}", files[name].decode("latin-1").encode("utf-16")]
        )
    elif name.endswith(".parquet"):
        files[name] = _other_table(files[name], chance)
    elif name.endswith(".jsonl"):
        lines = files[name].splitlines()
        number = chance.randrange(len(lines))
        lines[number] = json.dumps(_other(json.loads(lines[number]), chance)).encode()
        files[name] = b"\n".join(lines)
    else:
        files[name] = json.dumps(_other(json.loads(files[name]), chance)).encode()
    return _packed(files)


def inspect_v21(path: Path, out: Path) -> None:
    """As `leicos inspect` does."""
    _told(_opened(path, out) / "v21")


def inspect_v30(path: Path, out: Path) -> None:
    """As `leicos inspect` does."""
    _told(_opened(path, out) / "v30")


def export(path: Path, out: Path) -> None:
    """As `leicos to-lerobot` does; what it makes of a folder is a sound one."""
    export_v30(_opened(path, out) / "v21", out / "export")
    assert not look(out / "export").problems  # type: ignore[union-attr]


WORKS = (inspect_v21, inspect_v30, export)


def _told(root: Path) -> None:
    found = look(root)
    json.loads(found.model_dump_json())
    found.text()


def _other(value: Any, chance: random.Random) -> Any:
    """The value with one of its parts dropped or replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        if chance.random() < 0.2:
            return {name: part for name, part in value.items() if name != key}
        return value | {key: _other(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], _other(value[at], chance), *value[at + 1 :]]
    return chance.choice(ODD)


def _other_table(data: bytes, chance: random.Random) -> bytes:
    table = pq.read_table(io.BytesIO(data))
    at, rows = chance.randrange(table.num_columns), len(table)
    name = table.column_names[at]
    columns: tuple[pa.Array, ...] = (
        pa.array([None] * rows, type=table.schema.field(at).type),
        pa.array(["x"] * rows),
        pa.array([chance.choice([-1.0, 3.0, 1e18, float("nan"), float("inf")])] * rows),
        pa.array([chance.choice([-1, 0, 7, 2**62])] * rows),
        pa.array([["x"]] * rows),
        pa.array([[chance.choice([500.0, 4095.0, 1e30])] * 6] * rows),
        pa.array([[1.0] * 6, *[[2.0]] * (rows - 1)]),
    )
    changed = chance.choice([None, None, *columns])
    if changed is not None:
        table = table.set_column(at, name, changed)
    elif chance.random() < 0.5:
        table = table.remove_column(at)
    else:
        table = table.slice(0, chance.randrange(rows))
    packed = io.BytesIO()
    pq.write_table(table, packed)
    return packed.getvalue()


def _opened(path: Path, out: Path) -> Path:
    root = out / "both"
    for name, data in _unpacked(path.read_bytes()).items():
        file = root / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    return root


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _packed(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
