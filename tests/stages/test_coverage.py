"""What the report says of coverage, of green checks and of what is weak, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np

from leicos_jobs.judge import checks
from leicos_jobs.judge.coverage import coverage, near_duplicates
from leicos_jobs.judge.remarks import remarks
from leicos_jobs.judge.score import Scored
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import Record
from leicos_jobs.run.samples import Sample

JOINTS, SCALE = ("pan", "lift"), np.array([1.0, 2.0])


def ramp(least: float, most: float, rows: int = 50) -> np.ndarray:
    return np.stack([np.linspace(least, most, rows)] * 2, axis=1).astype(np.float32)


def scored(number: int, actions: np.ndarray, video: str) -> Scored:
    sample = Sample(
        id=f"{number:020x}", demo="demo_0", demo_sha256="d" * 64, episode=0, split="train", row0=5, frames=50,
        prompt="", seed=number, start=f"{number // 2:020x}",
    )  # fmt: skip
    record = Record(stage="generate", key="k", sample=sample.id, object="o", sha256=video)
    return Scored(State(sample, {}, {"generate": record}), labels=actions)


def test_coverage_says_what_synthetic_episodes_add() -> None:
    samples = [scored(0, ramp(0, 10), "a"), scored(1, ramp(0, 10.2), "a"), scored(2, ramp(50, 90), "c")]
    found = coverage(samples, {0: ramp(0, 60), 1: ramp(0, 60, 100)}, SCALE, 25.0)
    assert found["episodes"] == {"real": 2, "synthetic": 3}
    assert found["starts"] == {"different": 2, "demos": 1, "largest_share": 1.0, "held_out": 0}
    assert found["joints"]["real"][1][0] == 0
    assert found["joints"]["real"][1][3] == 120, "degrees, not motor units"
    assert 0.2 < found["joints"]["beyond"][0] < 0.3, "three quarters of the third episode"
    assert found["seconds"]["real"] == [2.0, 4.0]
    assert found["near"]["count"] == 2
    assert found["near"]["demo_count"] == 0
    assert found["near"]["same_video"] == 1
    assert coverage([], {0: ramp(0, 60)}, SCALE, 25.0) == {}


def test_the_nearest_episode_is_never_the_episode_itself() -> None:
    alone = near_duplicates({"a": ramp(0, 1)}, {}, SCALE)
    assert (alone["count"], alone["median_deg"], alone["demo_median_deg"]) == (0, None, None)


def judged(labels: list[float], flips: list[float]) -> dict[str, object]:
    windows = {"labels_deg": labels, "first_row_deg": [4.0, 4.0], "mean_action_deg": [9.0, 9.0]}
    return {
        "episodes": 5, "windows": windows, "sign_flips_labels": flips, "sign_flips_truth": [0.08, 0.08],
    }  # fmt: skip


def test_a_green_check_says_nothing_red_and_the_remarks_do() -> None:
    weak = judged([1.0, 5.0], [0.2, 0.2])
    first, mean = checks.accuracy(weak, JOINTS)
    assert first.passed
    assert mean.passed
    assert "no better" in first.text
    assert "no better" not in first.shown
    said = " ".join(remarks({"idm": {"held_out_demos": weak}}, JOINTS))
    assert "labels of lift are no better" in said
    assert "pan" not in said
    assert "2.5 times as often" in said
    failed, _ = checks.accuracy(judged([5.0, 5.0], [0.1, 0.1]), JOINTS)
    assert not failed.passed
    assert "no better for pan, lift" in failed.shown
    assert remarks({"idm": {"held_out_demos": judged([1.0, 1.0], [0.09, 0.09])}}, JOINTS) == []


def test_a_shift_that_fits_a_little_better_is_not_shown_in_green() -> None:
    true = ramp(0, 40)
    found = checks.alignment([true + 200], [true])
    assert found.passed
    assert "at a shift of -4 rows" in found.text
    assert found.shown == "error 200.00 motor units at no shift, and no shift fits clearly better"
