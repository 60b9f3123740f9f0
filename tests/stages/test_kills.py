"""SIGKILL to the whole process tree at a random moment, started again until done: the result equals an undisturbed run's.

Three kills in `make test`, twenty (every stage hit) in `make soak`.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("mujoco")
pytest.importorskip("torch")

STAGES = (
    "convert", "train-idm", "plan", "plan-round", "generate", "gate", "label", "account", "fan-in", "replay",
    "controls", "curate", "assemble", "report",
)  # fmt: skip
CONFIG = {
    "name": "kills",
    "source": {"task": "Lift the red cube up."},
    "plan": {"samples": 6, "min_shards": 2},
    "generate": {"backend": "mujoco", "frames": 24, "width": 128, "height": 96, "settings": {"defect_share": 0.0}},
    "gate": {"start_psnr_min": 10, "static_max": 0, "jump_ratio_max": 1e9, "vanish_share_min": 0},
    "idm": {"settings": {"steps": 30, "head_steps": 20, "checkpoint_every": 5, "threads": 1}},
    "label": {"settings": {"threads": 1}},
    "curate": {"require_success": False, "tracking_error_deg_max": 1000, "limit_violation_share_max": 1.0},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    from leicos_jobs.stages.record import record

    record(folder / "demos.hdf5", 5, 1, 128, 96, failed_share=0.2, workers=1)
    CONFIG["source"]["files"] = [str(folder / "demos.hdf5")]
    path = folder / "kills.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def start(config: Path, out: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "leicos_jobs.cli.main", "run", str(config), "--out", str(out), "--workers", "2"]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("a") as stream:
        return subprocess.Popen(command, env=environ, stdout=stream, stderr=stream, start_new_session=True)


def finish(config: Path, out: Path, log: Path) -> None:
    process = start(config, out, log)
    assert process.wait(600) == 0, log.read_text()[-3000:]


def snapshot(out: Path) -> dict[str, object]:
    """What must be equal: ids, tasks, lengths, provenance, parquet values, decoded frames."""
    synthetic = out / "synthetic"
    found: dict[str, object] = {
        name: (synthetic / "meta" / name).read_text() for name in ("episodes.jsonl", "tasks.jsonl", "info.json")
    }
    found["provenance"] = (synthetic / "meta/leicos/provenance.jsonl").read_text()
    for path in sorted(synthetic.rglob("*.parquet")):
        found[path.name] = pq.read_table(path).to_pydict()
    for path in sorted(synthetic.rglob("*.mp4")):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        found[path.name] = hash(np.stack(frames).tobytes())
    return found


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> dict[str, object]:
    out = config.parent / "undisturbed"
    begun = time.monotonic()
    finish(config, out, config.parent / "undisturbed.log")
    print(f"undisturbed: {time.monotonic() - begun:.0f} s")
    return snapshot(out)


def kill_in(stage: str, config: Path, out: Path, log: Path) -> bool:
    """Start the run, wait until a process of `stage` begins, kill the tree a moment later; False if it ended first."""
    process = start(config, out, log)
    seen = {path for path in out.glob("logs/*/*.log")}
    pattern = re.compile(rf"\.{stage}\(|\){re.escape('.')}{stage}\(")
    hit = False
    while process.poll() is None and not hit:
        fresh = {path for path in out.glob("logs/*/*.log")} - seen
        hit = any(pattern.search(path.name) or f".{stage}" in path.name for path in fresh)
        time.sleep(0.05)
    if hit:
        time.sleep(random.random() * (3.0 if stage in ("generate", "train-idm", "label", "convert") else 1.2))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait() != 0


def run_with_kills(config: Path, stages: list[str], undisturbed: dict[str, object]) -> None:
    out = config.parent / f"killed-{random.randrange(10**9)}"
    log = config.parent / f"{out.name}.log"
    hits = [kill_in(stage, config, out, log) for stage in stages]
    finish(config, out, log)
    assert any(hits)
    result = snapshot(out)
    assert result.keys() == undisturbed.keys()
    for name, value in undisturbed.items():
        assert result[name] == value, name
    committed: collections.Counter[tuple[str, str]] = collections.Counter()
    for path in out.glob("logs/*/*.log"):
        for match in re.finditer(r"(generate|gate|label|replay)\.committed sample=(\w+)", path.read_text()):
            committed[match.groups()] += 1
    assert set(committed.values()) <= {1}, "a committed sample was done again"
    assert not list(out.glob("failures/*/*/*.json")), "a kill was counted as a failure"
    records = [json.loads(path.read_text()) for path in out.glob("generate/*/*.json")]
    assert len({record["sample"] for record in records}) == CONFIG["plan"]["samples"]


def test_three_kills_change_nothing(config: Path, undisturbed: dict[str, object]) -> None:
    run_with_kills(config, sorted(random.sample(STAGES, 3), key=STAGES.index), undisturbed)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(5))
def test_twenty_kills_change_nothing(part: int, config: Path, undisturbed: dict[str, object]) -> None:
    stages = [STAGES[(part * 4 + index) % len(STAGES)] for index in range(4)]
    run_with_kills(config, sorted(stages, key=STAGES.index), undisturbed)
