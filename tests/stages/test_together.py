"""Two workflows on one run, started at any offset: neither fails, and the dataset is that of one alone.

On a cluster a mutex keeps them apart; here and where somebody removed it they must bear each other.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.identity import check_dataset, environment, forking_leicos, leicos, rows, write_config

from leicos_jobs.run.check import check

SAMPLES = 12
FORKING = 0.5
"""How long a run by `forking_leicos` takes, as a share of one by `leicos`: about."""
Program = Callable[..., list[str]]


def started(config: Path, root: Path, log: Path, program: Program = leicos) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        command = program("run", str(config), "--out", str(root), "--workers", "2")
        return subprocess.Popen(command, env=environment(), stdout=stream, stderr=stream)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], float]:
    folder = tmp_path_factory.mktemp("together")
    config = write_config(folder, samples=SAMPLES, workers=4)
    begin = time.monotonic()
    assert started(config, folder / "alone", folder / "log").wait(900) == 0, (folder / "log").read_text()[-3000:]
    return config, rows(folder / "alone"), time.monotonic() - begin


def together(
    alone: tuple[Path, dict[str, object], float], folder: Path, offset: float, program: Program = leicos
) -> None:
    config, expected, seconds = alone
    first = started(config, folder / "run", folder / "first", program)
    time.sleep(offset * seconds)
    second = started(config, folder / "run", folder / "second", program)
    for process, log in ((first, "first"), (second, "second")):
        assert process.wait(900) == 0, (folder / log).read_text()[-3000:]
    assert rows(folder / "run") == expected
    check_dataset(folder / "run", SAMPLES)
    assert check(str(folder / "run")).damaged == ()


def test_two_workflows_on_one_run_end_as_one(alone: tuple[Path, dict[str, object], float], tmp_path: Path) -> None:
    together(alone, tmp_path, 0.3 * FORKING, forking_leicos)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_twenty_pairs_of_workflows(alone: tuple[Path, dict[str, object], float], tmp_path: Path, seed: int) -> None:
    """At a third of the CPU time; offsets are a share of the time that a run alone took."""
    together(alone, tmp_path, random.Random(seed).random() * FORKING, forking_leicos)
