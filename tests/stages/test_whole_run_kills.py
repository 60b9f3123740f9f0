"""SIGKILL to the whole process tree at a random moment, started again until done: nothing changes in the result.

Three kills in `make test`, twenty (every stage hit) in `make soak`.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from stages.conftest import CONFIG, finish, snapshot, start

pytestmark = pytest.mark.xdist_group("small-run")
STAGES = (
    "convert", "train-idm", "plan", "plan-round", "generate", "gate", "label", "account", "fan-in", "replay",
    "controls", "curate", "assemble", "report",
)  # fmt: skip


def kill_in(stage: str, config: Path, out: Path, log: Path) -> bool:
    """Start the run, wait until a process of `stage` begins, kill the tree a moment later; False if it ended first."""
    process = start(config, out, log)
    seen = set(out.glob("logs/*/*.log"))
    pattern = re.compile(rf"\.{stage}\(|\){re.escape('.')}{stage}\(")
    hit = False
    while process.poll() is None and not hit:
        fresh = set(out.glob("logs/*/*.log")) - seen
        hit = any(pattern.search(path.name) or f".{stage}" in path.name for path in fresh)
        time.sleep(0.05)
    if hit:
        time.sleep(random.random() * (3.0 if stage in ("generate", "train-idm", "label", "convert") else 1.2))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() != 0


def run_with_kills(config: Path, stages: list[str], undisturbed: Path) -> None:
    out = config.parent / f"killed-{random.randrange(10**9)}"
    log = config.parent / f"{out.name}.log"
    hits = [kill_in(stage, config, out, log) for stage in stages]
    finish(config, out, log)
    assert any(hits)
    result, wanted = snapshot(out), snapshot(undisturbed)
    assert result.keys() == wanted.keys()
    for name, value in wanted.items():
        assert result[name] == value, name
    committed: collections.Counter[tuple[str, str]] = collections.Counter()
    for path in out.glob("logs/*/*.log"):
        for match in re.finditer(r"(generate|gate|label|replay)\.committed sample=(\w+)", path.read_text()):
            committed[match.groups()] += 1
    assert set(committed.values()) <= {1}, "a committed sample was done again"
    assert not list(out.glob("failures/*/*/*.json")), "a kill was counted as a failure"
    records = [json.loads(path.read_text()) for path in out.glob("generate/*/*.json")]
    assert len({record["sample"] for record in records}) == CONFIG["plan"]["samples"]


def test_three_kills_change_nothing(config: Path, undisturbed: Path) -> None:
    run_with_kills(config, sorted(random.sample(STAGES, 3), key=STAGES.index), undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
def test_twenty_kills_change_nothing(part: int, config: Path, undisturbed: Path) -> None:
    stages = [STAGES[(part * 4 + index) % len(STAGES)] for index in range(4)]
    run_with_kills(config, sorted(stages, key=STAGES.index), undisturbed)
