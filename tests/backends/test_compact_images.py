from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from leicos_jobs.backends.compact import images
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.encode import write_video


def test_reduction_is_a_whole_factor_and_never_enlarges() -> None:
    assert [images.reduction((w, 1), 160) for w in (100, 160, 320, 640, 700)] == [1, 1, 2, 4, 4]


def test_reduce_frame_is_the_rounded_mean_of_squares() -> None:
    frame = np.zeros((5, 4, 3), dtype=np.uint8)
    frame[:2, :2, 0] = [[1, 2], [3, 4]]
    frame[2:4, 2:, 1] = 255
    small = images.reduce_frame(frame, 2)
    assert small.shape == (2, 2, 3)
    assert small[0, 0].tolist() == [3, 0, 0]
    assert small[1, 1].tolist() == [0, 255, 0]


def moving_square(rows: int = 12) -> np.ndarray:
    frames = np.full((rows, 60, 80, 3), 100, dtype=np.uint8)
    for index in range(rows):
        frames[index, 20:28, 30 + index : 38 + index] = 250
    return frames


def test_the_window_surrounds_what_moves() -> None:
    spec = images.choose_window([moving_square()], (80, 60), 1, "motion")
    assert spec.x <= 30
    assert spec.x + spec.width >= 46
    assert spec.y <= 20
    assert spec.y + spec.height >= 28
    assert spec.width < 64
    assert spec.height < 48
    assert spec.width % images.MULTIPLE == spec.height % images.MULTIPLE == 0


def test_a_camera_that_differs_between_episodes_does_not_widen_the_window() -> None:
    first = moving_square()
    other = first.copy()
    other[:, :, :6] = 10
    both = images.choose_window([first, other], (80, 60), 1, "motion")
    assert both == images.choose_window([first], (80, 60), 1, "motion")


@pytest.mark.parametrize("how", ["motion", "none"])
def test_a_window_leaves_its_border_inside_the_frame(how: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 61, 83, 3), dtype=np.uint8)
    spec = images.choose_window([noise], (83, 61), 1, how)
    assert images.window(noise, spec).shape == (8, spec.height + 2 * spec.margin, spec.width + 2 * spec.margin, 3)


def test_frames_too_small_for_a_window_are_refused() -> None:
    with pytest.raises(InputError, match="too small"):
        images.choose_window([np.zeros((2, 9, 40, 3), dtype=np.uint8)], (40, 9), 1, "none")


def test_labelling_sees_what_training_keeps(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", iter(moving_square()), 30)
    reduced = images.read_reduced(tmp_path / "v.mp4", (80, 60), 2)
    spec = images.choose_window([reduced], (80, 60), 2, "motion")
    kept = images.window(reduced, spec)
    assert np.array_equal(images.read_windows(tmp_path / "v.mp4", spec), images.middle(kept, spec))
    assert images.ImageSpec(**json.loads(json.dumps(asdict(spec)))) == spec
