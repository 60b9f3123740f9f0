"""Damage small recordings at random and convert and inspect them: an answer or a LeicosError, never anything else.

    PYTHONPATH=.:tests python tests/formats/fuzz_recordings.py --minutes 60 --seed 0

A batch of damaged files is one child process, so that a crash or a hang inside HDF5 is found as well. Files that make
trouble are kept and named. Exits 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.core.errors import LeicosError
from leicos_jobs.robots.embodiment import SO101
from leicos_jobs.stages.convert import ConvertOptions, convert
from leicos_jobs.stages.inspect import inspect

BATCH = 100
SECONDS = 300.0
"""Far more than a batch takes; a child that needs longer hangs."""


def damage(good: bytes, chance: random.Random) -> bytes:
    """Overwrite a few short runs of bytes, half of them near the start where HDF5 keeps its structure; maybe cut."""
    data = bytearray(good)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        place = chance.randrange(len(data) if chance.random() < 0.5 else min(len(data), 20_000))
        length = chance.choice([1, 1, 4, 30])
        data[place : place + length] = chance.randbytes(length)
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.1 else data)


def try_one(path: Path, out: Path, seen: Counter[str]) -> str | None:
    """Convert and inspect one file; returns a traceback if either fails in a way it must not."""
    works = (
        ("convert", lambda: convert([path], out, ConvertOptions(SO101, "Lift.", control_hz=60, workers=1))),
        ("inspect", lambda: inspect(path, workers=1).text()),
    )
    for name, work in works:
        try:
            work()
            seen[f"{name} done"] += 1
        except LeicosError as error:
            seen[f"{name} {type(error).__name__}"] += 1
            if name == "convert" and out.exists():
                return f"{out} was left behind after {error}"
        except BaseException:  # noqa: BLE001 - finding these is the purpose
            return traceback.format_exc()
    return None


def batch(seed: int, folder: Path, count: int = BATCH) -> dict[str, int]:
    """Try `count` damaged files; trouble is written beside the file that caused it."""
    chance = random.Random(seed)
    specs = [
        DemoSpec(rows=30, compression=chance.choice(["gzip", "lzf"])),
        DemoSpec(rows=24, compression=None, chunk_rows=None),
    ]
    good = write_recording(folder / "good.hdf5", specs).read_bytes()
    seen: Counter[str] = Counter()
    for number in range(count):
        path = folder / f"{seed}-{number}.hdf5"
        path.write_bytes(damage(good, chance))
        trouble = try_one(path, folder / "out", seen)
        if trouble:
            seen["trouble"] += 1
            path.with_suffix(".txt").write_text(trouble)
        else:
            path.unlink()
    return dict(seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=Path, help="used by the program itself: run one batch in this folder")
    arguments = parser.parse_args()
    if arguments.batch:
        print(json.dumps(batch(arguments.seed, arguments.batch)))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="leicos-fuzz-"))
    total: Counter[str] = Counter()
    end = time.monotonic() + 60 * arguments.minutes
    seed = arguments.seed
    while time.monotonic() < end:
        command = [sys.executable, __file__, "--seed", str(seed), "--batch", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            if done.returncode:
                total["trouble"] += 1
                print(f"seed {seed}: the process died with {done.returncode}: {done.stderr[-2000:]}")
            else:
                total.update(json.loads(done.stdout.splitlines()[-1]))
        except subprocess.TimeoutExpired:
            total["trouble"] += 1
            print(f"seed {seed}: hangs; its file is the newest in {folder}")
        seed += 1
    for path in sorted(folder.glob("*.txt")):
        print(path, path.read_text(), sep="\n")
    print(json.dumps(dict(total)))
    return 1 if total["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
