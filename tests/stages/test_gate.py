"""The gate on videos of the embedded generator: each planted defect is refused for its own reason, clean ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mujoco")
from backends.mujoco_demo import generate_request

from leicos_jobs.backends.mujoco import dream
from leicos_jobs.backends.mujoco.generator import MujocoGenerator
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.judge.gate_checks import inspect_video
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import verify
from leicos_jobs.run.config import GateConfig

REASONS = {"static": "static", "vanish": "vanished", "jump": "jump", "wrong-start": "start-frame"}
FRAMES, VIDEOS = 100, 4


def made(folder: Path, defect_share: float) -> list[tuple[Path, Path]]:
    """(video, clip) of some samples from different demos."""
    settings = MujocoGenerator.Settings(defect_share=defect_share, failure_share=0.0)
    requests = [generate_request(folder, f"sample-{number}", frames=FRAMES, number=number) for number in range(VIDEOS)]
    results = MujocoGenerator(settings, None, folder).process(requests, lambda _sample: None)
    return [(result.video, request.clip) for request, result in zip(requests, results, strict=True)]


def reasons(video: Path, clip: Path) -> list[str]:
    return inspect_video(read_all(video), read_all(clip), 30.0, GateConfig().model_dump()).reasons


def test_clean_videos_pass_although_light_colour_and_camera_drift(tmp_path: Path) -> None:
    assert [reasons(*pair) for pair in made(tmp_path, 0.0)] == [[]] * VIDEOS


@pytest.mark.parametrize("defect", REASONS)
def test_a_planted_defect_is_refused_for_its_own_reason(
    defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dream, "DEFECTS", (defect,))
    found = [reasons(*pair) for pair in made(tmp_path, 1.0)]
    hits = sum(REASONS[defect] in item for item in found)
    assert hits >= VIDEOS - (defect == "jump"), found  # a jump while the arm hardly moves is no jump to see


def test_a_truncated_video_does_not_even_reach_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream, "DEFECTS", ("truncated",))
    for video, _ in made(tmp_path, 1.0):
        with pytest.raises(LeicosError):
            verify(video, fps=30, frames=FRAMES)


def test_a_video_with_too_few_frames_is_refused(tmp_path: Path) -> None:
    video, _ = made(tmp_path, 0.0)[0]
    with pytest.raises(LeicosError, match=str(FRAMES)):
        verify(video, fps=30, frames=FRAMES + 1)
