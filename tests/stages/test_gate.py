"""The gate by limits of real videos: clean ones pass, rendered or reconstructed; defects are refused by name."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
from backends.mujoco_demo import HEIGHT, WIDTH, demo, generate_request
from helpers.defects import CLIP, DEFECTS, Autoencoder, shrunk_and_enlarged

from leicos_jobs.backends.mujoco import dream
from leicos_jobs.backends.mujoco.generator import MujocoGenerator
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.judge.gate_limits import Limits, gathered, judge, limits
from leicos_jobs.judge.gate_scores import measure
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import verify
from leicos_jobs.run.config_gate import GateConfig

REASONS = {"static": "static", "vanish": "vanished", "jump": "jump", "wrong-start": "start-frame"}
FRAMES, VIDEOS = 100, 4


@cache
def real(number: int) -> np.ndarray:
    """The video of a demo, as the dataset has it."""
    done, look = demo(number)
    with closing(Renderer(WIDTH, HEIGHT)) as renderer:
        renderer.wear(look)
        return np.stack([renderer.draw(qpos).copy() for qpos in done.qpos[6::2][:FRAMES]])


@cache
def allowed() -> Limits:
    return limits(gathered([measure(real(number), real(number)[:CLIP], 30.0) for number in range(6)]), GateConfig())


def reasons(video: np.ndarray, clip: np.ndarray) -> list[str]:
    return judge(measure(video, clip, 30.0), allowed(), GateConfig().checks).reasons


def made(folder: Path, defect_share: float) -> list[tuple[Path, Path]]:
    """(video, clip) of some samples from different demos."""
    settings = MujocoGenerator.Settings(defect_share=defect_share, failure_share=0.0)
    requests = [generate_request(folder, f"sample-{number}", frames=FRAMES, number=number) for number in range(VIDEOS)]
    results = MujocoGenerator(settings, None, folder).process(requests, lambda _sample: None)
    return [(result.video, request.clip) for request, result in zip(requests, results, strict=True)]


def judged(pairs: list[tuple[Path, Path]]) -> list[list[str]]:
    return [reasons(read_all(video), read_all(clip)) for video, clip in pairs]


def test_clean_videos_pass_although_light_colour_and_camera_drift(tmp_path: Path) -> None:
    assert judged(made(tmp_path, 0.0)) == [[]] * VIDEOS


@pytest.mark.parametrize("defect", REASONS)
def test_a_generators_planted_defect_is_refused_for_its_own_reason(
    defect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dream, "DEFECTS", (defect,))
    found = judged(made(tmp_path, 1.0))
    hits = sum(REASONS[defect] in item for item in found)
    assert hits >= VIDEOS - (defect == "jump"), found  # a jump while the arm hardly moves is no jump to see


@cache
def reconstructed(kind: str) -> list[np.ndarray]:
    autoencoder = Autoencoder([real(number) for number in range(3)]) if kind == "autoencoder" else shrunk_and_enlarged
    return [autoencoder(real(number)) for number in range(6, 9)]


@pytest.mark.parametrize("kind", ["autoencoder", "shrunk and enlarged"])
def test_blur_is_no_defect(kind: str) -> None:
    assert [reasons(video, video[:CLIP]) for video in reconstructed(kind)] == [[]] * 3


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_in_a_reconstructed_video_is_refused_for_its_own_reason(defect: str) -> None:
    plant, wanted = DEFECTS[defect]
    for number, video in enumerate(reconstructed("autoencoder")):
        found = reasons(plant(video, np.random.default_rng(number)), video[:CLIP])
        assert wanted & set(found), (number, found)


def test_every_check_can_be_switched_off_and_scores_stay() -> None:
    video = DEFECTS["black"][0](real(6), np.random.default_rng(0))
    verdict = judge(measure(video, video[:CLIP], 30.0), allowed(), ())
    assert verdict.reasons == []
    assert verdict.scores["contrast"] == 0


def test_a_colour_that_no_real_video_has_is_not_judged() -> None:
    scores = measure(real(0), real(0)[:CLIP], 30.0)
    assert judge(scores | {"least_blue": 0.0}, allowed(), GateConfig().checks).reasons == []


def test_a_truncated_video_does_not_even_reach_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream, "DEFECTS", ("truncated",))
    for video, _ in made(tmp_path, 1.0):
        with pytest.raises(LeicosError):
            verify(video, fps=30, frames=FRAMES)


def test_a_video_with_too_few_frames_is_refused(tmp_path: Path) -> None:
    video, _ = made(tmp_path, 0.0)[0]
    with pytest.raises(LeicosError, match=str(FRAMES)):
        verify(video, fps=30, frames=FRAMES + 1)
