"""SIGKILL to the whole process tree at a random moment, started again until done: nothing changes in the result.

Three kills in `make test`, twenty (every stage hit) in `make soak`. A kill counts if it hit the stage at work.
"""

from __future__ import annotations

import collections
import json
import random
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from helpers import process_tree
from helpers.plots import SPARE
from stages.conftest import CONFIG, finish, snapshot, start

pytestmark = pytest.mark.xdist_group("small-run")
WHOLE = ("convert", "cosmos-dataset", "train-idm", "plan", "replay-demos", "curate", "assemble", "report")
SAMPLED = ("generate", "gate", "label", "replay", "controls")
STAGES = (
    "start", "convert", "cosmos-dataset", "train-idm", "plan", "plan-round", "generate", "gate", "label", "account",
    "fan-in", "replay-demos", "replay", "controls", "curate", "assemble", "report", "finish",
)  # fmt: skip
SAMPLES = CONFIG["plan"]["samples"]
TRIES = 5


def durations(log: Path) -> dict[str, float]:
    """Stage -> seconds of its shortest process, from what `leicos run` said."""
    found: dict[str, float] = {"finish": 0.5}
    for stage, seconds in re.findall(r"done .*?([a-z-]+)(?: \d+)? \((\d+\.\d) s\)", log.read_text()):
        found[stage] = min(float(seconds), found.get(stage, 1e9))
    return found


def node(stage: str) -> str:
    """What its logs call it."""
    return "onExit" if stage == "finish" else stage


def at_work(stage: str, pids: Iterable[int], out: Path) -> bool:
    """Whether one of these processes is of the stage and has something left to do."""
    if not process_tree.works_on(node(stage), pids):
        return False
    if stage in SAMPLED:
        return len({path.parent for path in out.glob(f"{stage}/*/*.json")}) < SAMPLES
    return stage not in WHOLE or not any(out.glob(f"records/{stage}/*.json"))


def kill_in(stage: str, delay: float, config: Path, out: Path, log: Path) -> bool:
    """Start the run and kill its tree `delay` seconds after a process of `stage` began; whether that hit the stage."""
    seen = set(out.glob("logs/*/*.log"))
    process = start(config, out, log, **SPARE)
    while not any(process_tree.LOG.format(node(stage)) in path.name for path in set(out.glob("logs/*/*.log")) - seen):
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    time.sleep(delay)
    frozen = process_tree.freeze(process.pid)
    hit = at_work(stage, frozen, out)
    process_tree.send(frozen, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL and hit


def run_with_kills(config: Path, stages: list[str], undisturbed: Path) -> None:
    """A run killed in each of `stages`. Those that ended before their kill are killed sooner, in another run."""
    seconds = durations(undisturbed.with_suffix(".log"))
    left = stages
    for attempt in range(TRIES):
        out = config.parent / f"killed-{random.randrange(10**9)}"
        log = config.parent / f"{out.name}.log"
        hits = {
            stage: kill_in(stage, random.uniform(0, 0.7) * seconds[stage] / 2**attempt, config, out, log)
            for stage in left
        }
        finish(config, out, log, **SPARE)
        check(out, undisturbed)
        left = [stage for stage, hit in hits.items() if not hit]
        if not left:
            return
    pytest.fail(f"no kill hit {left} in {TRIES} tries")


def check(out: Path, undisturbed: Path) -> None:
    """The result is the undisturbed run's, and a kill cost each worker the current sample at most."""
    result, wanted = snapshot(out), snapshot(undisturbed)
    assert result.keys() == wanted.keys()
    for name, value in wanted.items():
        assert result[name] == value, name
    begun: set[tuple[str, str]] = set()
    committed: collections.Counter[tuple[str, str]] = collections.Counter()
    for stage in SAMPLED:
        for path in out.glob(f"logs/*/*.{stage}(*.log"):
            text = path.read_text()
            started = re.findall(r"backend\.started sample=(\w+)", text)
            done = re.findall(rf"{stage}\.committed sample=(\w+)", text)
            assert len(set(started) - set(done)) <= 1, f"{path.name}: more than the current sample was lost"
            begun |= {(stage, sample) for sample in started}
            committed.update((stage, sample) for sample in done)
    assert set(committed.values()) == {1}, "a committed sample was done again"
    for stage in SAMPLED:
        assert {sample for name, sample in begun if name == stage} == {path.name for path in out.glob(f"{stage}/*")}
    notes = [json.loads(path.read_text()) for path in out.glob("failures/*/*/*.json")]
    assert {note["kind"] for note in notes} <= {"lost"}, "a kill was counted as the sample's failure"
    records = [json.loads(path.read_text()) for path in out.glob("generate/*/*.json")]
    assert len({record["sample"] for record in records}) == SAMPLES


def test_three_kills_change_nothing(config: Path, undisturbed: Path) -> None:
    run_with_kills(config, sorted(random.sample(STAGES, 3), key=STAGES.index), undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
def test_twenty_kills_change_nothing(part: int, config: Path, undisturbed: Path) -> None:
    stages = [STAGES[(part * 4 + index) % len(STAGES)] for index in range(4)]
    run_with_kills(config, sorted(stages, key=STAGES.index), undisturbed)
