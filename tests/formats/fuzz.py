"""Damage small recordings, configurations and datasets and use them: an answer or a LeicosError, never anything else.

    PYTHONPATH=.:tests python tests/formats/fuzz.py --minutes 60 --seed 0

A batch of damaged files is one child process, so that a crash or a hang inside HDF5 is found as well; batches take
turns between the subjects. Files that make trouble are kept and named. Exits 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import ModuleType

import fuzz_configurations
import fuzz_datasets
import fuzz_recordings

from leicos_jobs.core.errors import ExitCode, LeicosError

SUBJECTS = {"recordings": fuzz_recordings, "configurations": fuzz_configurations, "datasets": fuzz_datasets}
"""Each has SUFFIX, good (bytes of a sound file), damage, and WORKS: what is done with a file and an output folder."""

BATCH = 100
SECONDS = 1200.0
"""Far more than a batch takes; a child that needs longer hangs."""


def try_one(subject: ModuleType, path: Path, out: Path, seen: Counter[str]) -> str | None:
    """Do the subject's works with one file; returns a traceback if one fails in a way it must not."""
    for work in subject.WORKS:
        try:
            work(path, out)
            seen[f"{work.__name__} done"] += 1
        except LeicosError as error:
            seen[f"{work.__name__} {type(error).__name__}"] += 1
            # a file says nothing that trying again could help with, and who reads the message must know what to do
            if error.exit_code is not ExitCode.INPUT or not error.fix:
                return traceback.format_exc()
        except BaseException:  # noqa: BLE001 - finding these is the purpose
            return traceback.format_exc()
    return None


def batch(subject: ModuleType, seed: int, folder: Path, count: int = BATCH) -> dict[str, int]:
    """Try `count` damaged files; trouble is written beside the file that caused it."""
    chance = random.Random(seed)
    good = subject.good(folder, chance)
    seen: Counter[str] = Counter()
    for number in range(count):
        path, out = folder / f"{seed}-{number}{subject.SUFFIX}", folder / "out"
        path.write_bytes(subject.damage(good, chance))
        trouble = try_one(subject, path, out, seen)
        shutil.rmtree(out, ignore_errors=True)
        seen["files"] += 1
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
    parser.add_argument("--batch", nargs=2, metavar=("SUBJECT", "FOLDER"), help="used by the program itself: one batch")
    arguments = parser.parse_args()
    if arguments.batch:
        name, folder = arguments.batch
        print(json.dumps(batch(SUBJECTS[name], arguments.seed, Path(folder))))
        return 0
    root = Path(tempfile.mkdtemp(prefix="leicos-fuzz-"))
    total: dict[str, Counter[str]] = {name: Counter() for name in SUBJECTS}
    end = time.monotonic() + 60 * arguments.minutes
    seed = arguments.seed
    while time.monotonic() < end:
        for name in SUBJECTS:
            (root / name).mkdir(exist_ok=True)
            total[name].update(_in_child(name, seed, root / name))
            print(f"seed {seed}: {name}: {json.dumps(total[name])}", flush=True)
        seed += 1
    for path in sorted(root.rglob("*.txt")):
        print(path, path.read_text(), sep="\n")
    return 1 if any(counts["trouble"] for counts in total.values()) else 0


def _in_child(name: str, seed: int, folder: Path) -> dict[str, int]:
    command = [sys.executable, __file__, "--seed", str(seed), "--batch", name, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print(f"seed {seed}: hangs; its file is the newest in {folder}")
        return {"trouble": 1}
    if done.returncode:
        print(f"seed {seed}: the process died with {done.returncode}: {done.stderr[-2000:]}")
        return {"trouble": 1}
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return counts


if __name__ == "__main__":
    sys.exit(main())
