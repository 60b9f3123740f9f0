"""SIGKILL to a run's whole process tree, thirty times at random moments: each run ends as one that nobody killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers import process_tree
from helpers.identity import check_dataset, environment, forking_leicos, rows, write_config
from helpers.plots import SPARE

from leicos_jobs.run.check import check

SAMPLES = 12
RUNS, KILLS = 5, 6
ALONE = 2
"""Processes of a run without a pod: `leicos run` and its keeper."""


def started(config: Path, root: Path) -> subprocess.Popen[bytes]:
    command = forking_leicos("run", str(config), "--out", str(root), "--workers", "2")
    with root.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, env=environment(SPARE), stdout=log, stderr=log)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], float]:
    """The configuration, its dataset, and the seconds that a run took."""
    folder = tmp_path_factory.mktemp("kills")
    config = write_config(folder, demos=3, samples=SAMPLES, workers=4)
    begin = time.monotonic()
    assert started(config, folder / "alone").wait(900) == 0, (folder / "alone.log").read_text()[-3000:]
    return config, rows(folder / "alone"), time.monotonic() - begin


def killed(config: Path, root: Path, delay: float) -> bool:
    """Start the run and kill its tree after `delay` seconds with a pod at work; whether there was one."""
    process = started(config, root)
    time.sleep(delay)
    while process.poll() is None:
        frozen = process_tree.freeze(process.pid)
        if len(frozen) > ALONE:
            process_tree.send(frozen, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            return True
        process_tree.send(frozen, signal.SIGCONT)
        time.sleep(0.02)
    return False


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(RUNS))
def test_kills_at_random_moments_change_nothing(
    alone: tuple[Path, dict[str, object], float], tmp_path: Path, seed: int
) -> None:
    config, expected, seconds = alone
    root, chance = tmp_path / "run", random.Random(seed)
    kills = sum(killed(config, root, chance.uniform(0, 0.4) * seconds) for _ in range(KILLS))
    print(f"{kills} kills")
    assert kills >= KILLS // 2, "the runs ended too soon to be killed"
    assert started(config, root).wait(900) == 0, root.with_suffix(".log").read_text()[-3000:]
    assert rows(root) == expected
    check_dataset(root, SAMPLES)
    assert check(str(root)).damaged == ()
    notes = [json.loads(path.read_text()) for path in root.glob("failures/*/*/*.json")]
    assert {note["kind"] for note in notes} <= {"lost"}, "a kill was counted as the sample's failure"
