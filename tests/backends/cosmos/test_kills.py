"""Workers killed at random moments: no sample lost or doubled, none committed unverified."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from cosmos_helpers import FAKE
from helpers.generate_worker import (
    assert_all_committed,
    generate_key,
    kill_and_finish,
    make_run,
    read_journal,
    start_worker,
    worked,
)

from leicos_jobs.run import failures, layout
from leicos_jobs.run.opened import open_run


def grey(seed: int) -> int:
    """First picture of the fake model's video."""
    return (seed * 3) % 200


def settings(driver: str) -> dict[str, object]:
    return {"checkout": str(FAKE), "python": sys.executable, "driver": driver}


def survive(tmp_path: Path, driver: str, samples: int, kills: int, seed: int, longest: float) -> None:
    root, journal = tmp_path / "run", tmp_path / "journal"
    # A kill of upstream looks like a poison sample's doing, and chance may hit the same one three times.
    plan = make_run(root, ["Lift_the_red_cube_up"] * samples, settings(driver), quarantine_after=1000)
    environment = {"FAKE_JOURNAL": str(journal), "FAKE_SECONDS": "0.3"}
    kill_and_finish(root, kills, environment, seed, longest)
    assert_all_committed(root, plan, grey)
    assert worked(journal) > samples, "some were being made when a kill came, and were made again"
    objects = [key for key in open_run(str(root)).store.list("generate/") if key.endswith(".mp4")]
    # A killed worker may leave bytes without a record; equal seeds give equal bytes, so even they have one name.
    assert len(objects) == samples


def test_five_kills(tmp_path: Path) -> None:
    survive(tmp_path, "api", 25, 5, seed=1, longest=3.0)


@pytest.mark.soak
@pytest.mark.parametrize("driver", ["api", "cli"])
def test_fifty_kills(driver: str, tmp_path: Path) -> None:
    survive(tmp_path, driver, 300, 50, seed=2, longest=5.0)


def test_a_pod_that_dies_after_seven_of_twenty_has_kept_seven(tmp_path: Path) -> None:
    root, journal = tmp_path / "run", tmp_path / "journal"
    plan = make_run(root, ["Lift_the_red_cube_up"] * 20, settings("api"))
    environment = {"FAKE_JOURNAL": str(journal), "FAKE_SECONDS": "0.5"}

    def records() -> list[str]:
        return sorted(key for key in open_run(str(root)).store.list("generate/") if key.endswith(".json"))

    worker = start_worker(root, environment)
    while len(records()) < 7 and worker.poll() is None:
        time.sleep(0.02)
    worker.kill()
    worker.wait()
    kept = records()
    assert 7 <= len(kept) <= 8
    assert start_worker(root, environment).wait(120) == 0
    assert_all_committed(root, plan, grey)
    made = Counter(entry["seed"] for entry in read_journal(journal) if entry["name"] != "load")
    run = open_run(str(root))
    done = {layout.sample_record("generate", sample.id, generate_key(run, sample)): sample.seed for sample in plan}
    assert all(made[done[key]] == 1 for key in kept), "what was committed is not made again"
    assert sum(made.values()) <= 20 + 2, "lost: the current one, and perhaps one not yet committed"


def test_a_poison_sample_is_quarantined_and_the_others_go_on(tmp_path: Path) -> None:
    """It kills upstream each time: after three tries it is quarantined, with upstream's last words."""
    root = tmp_path / "run"
    plan = make_run(root, ["fine", "fine", "KILL", "RAISE", "fine"], settings("api"))
    assert start_worker(root, {"FAKE_JOURNAL": str(tmp_path / "journal")}).wait(120) == 0
    assert_all_committed(root, [plan[0], plan[1], plan[4]], grey)
    notes = failures.read_all(open_run(str(root)).store, "generate")
    assert {sample: len(items) for sample, items in notes.items()} == {plan[2].id: 3, plan[3].id: 3}
    assert "exit code -9" in notes[plan[2].id][0].error
    assert "the clip cannot be read" in notes[plan[3].id][0].error


def test_the_record_says_how_the_video_was_made(tmp_path: Path) -> None:
    root = tmp_path / "run"
    plan = make_run(root, ["fine"], settings("api"))
    assert start_worker(root, {}).wait(60) == 0
    (key,) = [key for key in open_run(str(root)).store.list(f"generate/{plan[0].id}/") if key.endswith(".json")]
    record = json.loads((root / key).read_text())
    notes = record["facts"]["notes"]
    assert notes["driver"] == "api"
    assert notes["guardrails"] is False
    assert notes["upstream_seconds"] > 0
    assert record["inputs"] == {"start": plan[0].start}
