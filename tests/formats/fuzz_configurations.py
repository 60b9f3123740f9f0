"""Damaged configurations: a run is started with each, twice, and converts a sound recording. A subject of `fuzz.py`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import LeicosError
from leicos_jobs.core.stages import CONVERT
from leicos_jobs.run import layout
from leicos_jobs.run.config import RunConfig, SourceConfig
from leicos_jobs.run.opened import open_run
from leicos_jobs.stages.convert import convert as convert_run
from leicos_jobs.stages.start import start as start_run

SUFFIX = ".yaml"

NUMBERS = (
    "0", "-1", "1", "2", "3", "5", "7", "30", "100", "1000", "1000000", "9" * 30, "9" * 5000, "0.5", "-0.5", "0.001",
    "1.0", "29.97", "1e308", "1e-308", ".nan", ".inf", "-.inf", "0x10", "true", "12:30:45",
)  # fmt: skip
TEXTS = (
    "''", "' '", "x", "a" * 5000, r'"\ud800"', r'"\0"', r'"\e[31m"', r'"\u202e"', "../..", "/", "/dev/null", "file:///x",
    "/proc/self/mem", "run:", "run:../x", "run:source/none.hdf5", "mujoco", "echo", "compact", "cosmos-predict2.5",
    r'"a\u2028b"', r'"a\x0bb"', r'"a\u0085b"', r'"\u00a0"', "null", "import",
    "gr00t-dreams", "isaac-sim", "ultrafast", "prose", "front", "so101", "https://127.0.0.1:9/",
)  # fmt: skip
OTHERS = (
    "null", "[]", "{}", "[1, 2]", "[[[]]]", "{a: 1}", "{1: 2}", "{? [1] : 2}", "2020-01-01", "2020-13-45", "*nowhere",
    "!!binary gA==", "!!set {a, b}", "!!python/object:os.system {}", "[" * 2000, "&again {again: *again}",
    "[&a [1, 1, 1, 1, 1, 1], &b [*a, *a, *a, *a, *a, *a], &c [*b, *b, *b, *b, *b, *b], &d [*c, *c, *c, *c, *c, *c],"
    " &e [*d, *d, *d, *d, *d, *d], &f [*e, *e, *e, *e, *e, *e], &g [*f, *f, *f, *f, *f, *f], *g]",
    "!!timestamp x", "!!bool x", "!!int ''", "!!float ''", "0x" + "f" * 6000, "1" + ":01" * 3000, "{" * 500,
    *NUMBERS, *TEXTS,
)  # fmt: skip
"""YAML of values that some field or other does not expect; no s3://, which would ask a network for credentials."""


def good(folder: Path, chance: random.Random) -> bytes:
    """A complete configuration of a recording of one demo."""
    source = write_recording(folder / "source.hdf5", [DemoSpec(rows=24)])
    config = RunConfig(source=SourceConfig(files=(str(source),), task="Lift."))
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Give some fields other values, drop some, add some; or overwrite a few bytes of the text; or cut it."""
    kind = chance.random()
    if kind < 0.1:
        return data[: chance.randrange(len(data))]
    if kind < 0.3:
        broken = bytearray(data)
        for _ in range(chance.choice([1, 1, 2, 5])):
            place = chance.randrange(len(broken))
            broken[place : place + 1] = chance.randbytes(chance.choice([0, 1, 1, 4]))
        return bytes(broken)
    tree = yaml.safe_load(data)
    text = {}
    for number in range(chance.choice([1, 1, 1, 1, 2, 5])):
        holder, key = chance.choice(list(_places(tree)))
        odd = _odd(holder[key], chance)
        match chance.choice(["set"] * 8 + ["drop", "add"]):
            case "set":
                holder[key] = f"<{number}>"
            case "drop":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[chance.choice(["", "a b", "<<", "settings", "x" * 300])] = f"<{number}>"
        text[f"<{number}>"] = odd
    written = yaml.safe_dump(tree, sort_keys=False)
    for mark, odd in text.items():
        written = written.replace(mark, odd)
    return written.encode(chance.choice(["utf-8"] * 17 + ["utf-8-sig", "utf-16", "latin-1"]), "replace")


def _odd(value: Any, chance: random.Random) -> str:
    """Mostly of the value's own kind, so that many a file is accepted and must then be useful."""
    if chance.random() < 0.2:
        return chance.choice(OTHERS)
    return chance.choice(NUMBERS if isinstance(value, int | float) else TEXTS if isinstance(value, str) else OTHERS)


def _places(tree: Any) -> Any:
    """(container, key) of every value in a tree of dicts and lists."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def start(path: Path, out: Path) -> None:
    """Start a run; if that fails, there must be none. The same start again must find its own run."""
    try:
        run = start_run(str(out), str(path))
    except LeicosError as error:
        if (out / layout.RUN).exists():
            raise AssertionError(f"a run was left behind after {error}") from error
        raise
    assert start_run(str(out), str(path)).config == run.config


def convert(path: Path, out: Path) -> None:
    """Convert in the run that was started; if that fails, neither a record nor a dataset may stand there."""
    try:
        convert_run(open_run(str(out)))
    except LeicosError as error:
        for folder in ("records/convert", CONVERT.prefix):
            if left := next((path for path in (out / folder).rglob("*") if path.is_file()), None):
                raise AssertionError(f"{left} was left behind after {error}") from error
        raise


WORKS = (start, convert)
