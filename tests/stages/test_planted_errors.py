"""Every known way of mislabelling, planted on purpose, must turn its own named check red; honest labels stay green."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.judge import checks, metrics
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.probe import verify

ROWS, STRIDE = 140, 2
JOINTS = [joint.name for joint in SO101.action.joints]


def trajectory(seed: int, rows: int = ROWS) -> np.ndarray:
    """A smooth reach, grasp and lift in motor units: waypoints, minimum-jerk between them, tremor."""
    rng = np.random.default_rng(seed)
    times = np.array([0, 0.25, 0.45, 0.6, 0.8, 1.0]) * (rows - 1) * rng.uniform(0.92, 1.0)
    points = np.array(
        [[0, -80, 80, 40, 0, 10], [20, 10, 0, 45, 10, 60], [20, 35, -10, 50, 12, 60], [20, 35, -10, 50, 12, 8],
         [18, 5, 0, 40, 10, 8], [15, -10, 10, 30, 8, 8]], dtype=float,
    )  # fmt: skip
    points += rng.normal(0, 8, points.shape)
    out = np.empty((rows, 6))
    for row in range(rows):
        k = min(np.searchsorted(times, row, side="right") - 1, len(times) - 2)
        u = np.clip((row - times[k]) / (times[k + 1] - times[k]), 0, 1)
        out[row] = points[k] + (points[k + 1] - points[k]) * (10 * u**3 - 15 * u**4 + 6 * u**5)
    return out.astype(np.float32)


TRUTHS = [trajectory(seed) for seed in range(100, 112)]
TRAINING = [trajectory(seed) for seed in range(40)]


def honest() -> list[np.ndarray]:
    """Labels as a good IDM gives them: a slowly varying error of about a degree and a half."""
    labels = []
    for seed, truth in enumerate(TRUTHS):
        noise = np.random.default_rng(seed).normal(0, 1, (ROWS // 14 + 2, 6))
        drift = np.stack([np.interp(np.arange(ROWS), np.arange(len(noise)) * 14, noise[:, j]) for j in range(6)], 1)
        labels.append((truth + 1.5 * drift).astype(np.float32))
    return labels


def verdicts(labels: list[np.ndarray]) -> dict[str, bool]:
    judged = metrics.judge(labels, TRUTHS, TRAINING, SO101.action.degrees_per_unit(), SO101.action.motor_limits())
    found = [
        checks.alignment(labels, TRUTHS),
        checks.units(labels, TRUTHS, SO101),
        *checks.accuracy(judged, JOINTS),
        checks.smoothness(judged),
    ]
    return {item.name: item.passed for item in found}


def test_honest_labels_are_green() -> None:
    assert all(verdicts(honest()).values()), verdicts(honest())


def shifted(rows: int) -> list[np.ndarray]:
    return [np.concatenate([np.repeat(x[:1], rows, 0), x[:-rows]]) for x in honest()]


def scrambled() -> list[np.ndarray]:
    """As upstream's thread pool does: rows change places within windows of 16."""
    out = []
    for seed, labels in enumerate(honest()):
        order = np.concatenate(
            [
                start + np.random.default_rng([seed, start]).permutation(min(16, ROWS - start))
                for start in range(0, ROWS, 16)
            ]
        )
        out.append(labels[order])
    return out


def degrees() -> list[np.ndarray]:
    """Degrees where motor units are wanted: LeRobot's own two conventions, mixed up."""
    return [np.rad2deg(SO101.action.to_recorded(x)).astype(np.float32) for x in honest()]


def gripper_inverted() -> list[np.ndarray]:
    return [np.concatenate([x[:, :5], 100 - x[:, 5:]], axis=1) for x in honest()]


def wrong_stats() -> list[np.ndarray]:
    """Normalised with one robot's minimum and maximum, un-normalised with another's (LeIsaac and IDM_so100)."""
    low, high = np.array([38.8, 37.7, 20.9, -7.2, -167.0, -7.3]), np.array([207.2, 194.6, 175.0, 115.9, 62.8, 58.7])
    ours = np.concatenate(TRAINING)
    unit = [(x - ours.min(0)) / (ours.max(0) - ours.min(0)) for x in honest()]
    return [(u * (high - low) + low).astype(np.float32) for u in unit]


PLANTED = {
    "one frame late": (lambda: shifted(1), "alignment"),
    "one stride late": (lambda: shifted(STRIDE), "alignment"),
    "order scrambled inside a window": (scrambled, "smoothness"),
    "degrees for motor units": (degrees, "units"),
    "gripper inverted": (gripper_inverted, "units"),
    "wrong stats.json": (wrong_stats, "beats-first-row"),
    "videos swapped": (lambda: [*honest()[1:], honest()[0]], "beats-first-row"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_turns_its_check_red(name: str) -> None:
    make, check = PLANTED[name]
    assert not verdicts(make())[check], verdicts(make())


def test_two_samples_that_changed_places_are_found_by_their_own_truth() -> None:
    names = [f"{index:02d}" for index in range(len(TRUTHS))]
    truths, labels = dict(zip(names, TRUTHS, strict=True)), dict(zip(names, honest(), strict=True))
    assert checks.own_truth(labels, truths).passed
    swapped = checks.own_truth(labels | {"03": labels["07"], "07": labels["03"]}, truths)
    assert not swapped.passed
    assert swapped.text.endswith("; 03 and 07")


def test_an_untrained_model_is_poor_but_neither_swapped_nor_in_other_units() -> None:
    still = [np.repeat(np.mean(TRAINING, axis=(0, 1))[None], ROWS, 0).astype(np.float32) for _ in TRUTHS]
    names = [str(index) for index in range(len(TRUTHS))]
    assert checks.units(still, TRUTHS, SO101).passed
    assert checks.own_truth(dict(zip(names, still, strict=True)), dict(zip(names, TRUTHS, strict=True))).passed


def test_two_samples_swapped_are_found_by_their_digests() -> None:
    good = [("a", "sha-a", "sha-a"), ("b", "sha-b", "sha-b")]
    assert checks.ownership(good).passed
    assert not checks.ownership([("a", "sha-a", "sha-b"), ("b", "sha-b", "sha-a")]).passed


def test_a_nominal_16_fps_is_refused_by_verification_and_by_the_time_base(tmp_path: Path) -> None:
    video = tmp_path / "v.mp4"
    write_video(video, [np.full((48, 64, 3), k * 9, np.uint8) for k in range(12)], 16)
    with pytest.raises(LeicosError, match="16"):
        verify(video, fps=30)
    assert checks.time_base({"a": 30.0}, 30.0).passed
    assert not checks.time_base({"a": 30.0, "b": 16.0}, 30.0).passed


def frames(first: int) -> np.ndarray:
    """A moving square on a gradient: pictures of one demo, from frame `first` on."""
    out = np.tile(np.arange(64, dtype=np.uint8)[None, None, :, None] * 2, (5, 48, 1, 3))
    for index in range(5):
        left = (first + index) % 50
        out[index, 10:24, left : left + 12] = (200, 40, 40)
    return out


def test_conditioning_on_the_demos_end_or_another_state_is_found() -> None:
    joints = np.array([0.1, -1.2, 1.1, 0.6, 0.0, 0.1], dtype=np.float32)
    good = checks.conditioning([(frames(3), frames(3))], [(joints, joints + 0.001)])
    assert all(item.passed for item in good)
    end = {item.name: item.passed for item in checks.conditioning([(frames(40), frames(3))], [(joints, joints)])}
    assert not end["clip-is-row0"]
    other = {item.name: item.passed for item in checks.conditioning([(frames(3), frames(3))], [(joints + 0.2, joints)])}
    assert not other["start-is-row0"]


def test_replay_from_another_state_is_found_by_what_true_actions_did() -> None:
    made = [True, False, True, True, False, True, True, True, False, True]
    assert checks.truth_reproduction(list(zip(made, made, strict=True))).passed
    elsewhere = checks.truth_reproduction([(success, False) for success in made])
    assert not elsewhere.passed
    assert "3 of 10" in elsewhere.text
