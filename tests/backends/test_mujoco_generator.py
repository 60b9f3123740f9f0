from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mujoco_demo import clip_frames, generate_request

from leicos_jobs.backends.mujoco import dream
from leicos_jobs.backends.mujoco.generator import MujocoGenerator
from leicos_jobs.backends.mujoco.replayer import MujocoReplayer
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult, ReplayRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import probe


def generator(**settings: float) -> MujocoGenerator:
    return MujocoGenerator(MujocoGenerator.Settings(**settings), None, Path())


def generate(made: MujocoGenerator, *requests: GenerateRequest) -> list[GenerateResult]:
    seen: list[str] = []
    results = list(made.process(requests, seen.append))
    assert seen == [request.sample for request in requests]
    return results


def truth(result: GenerateResult) -> dict[str, np.ndarray]:
    assert result.truth is not None
    return result.truth


def replayed(request: GenerateRequest, result: GenerateResult) -> dict[str, Any]:
    replayer = MujocoReplayer(MujocoReplayer.Settings(), Path())
    job = ReplayRequest(result.sample, request.start, truth(result)["action_full"], 60.0, 0)
    return next(replayer.process([job], lambda _sample: None)).metrics.facts()


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    return float(10 * np.log10(255.0**2 / max(1e-9, np.mean((one.astype(float) - two) ** 2))))


def only(monkeypatch: pytest.MonkeyPatch, defect: str) -> MujocoGenerator:
    monkeypatch.setattr(dream, "DEFECTS", (defect,))
    return generator(defect_share=1.0, failure_share=0.0)


def test_the_video_is_as_asked_and_begins_with_the_clip(tmp_path: Path) -> None:
    request = generate_request(tmp_path, "aa", frames=90)
    result = generate(generator(defect_share=0.0), request)[0]
    info = probe(result.video)
    assert (info.codec, info.pix_fmt, info.width, info.height) == ("h264", "yuv420p", 160, 120)
    assert info.fps == 30
    video = read_all(result.video)
    assert len(video) == 90
    assert min(psnr(video[index], clip_frames(6)[index]) for index in range(5)) > 31
    steps = np.abs(np.diff(video.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert steps[4] < 3.0  # from the clip's last frame to the first drawn one


def test_truth_is_aligned_with_frames_and_control_rows(tmp_path: Path) -> None:
    request = generate_request(tmp_path, "ab", frames=80)
    result = generate(generator(defect_share=0.0), request)[0]
    found = truth(result)
    assert {key: (value.shape, value.dtype) for key, value in found.items()} == {
        "action": ((80, 6), np.float32),
        "observation.state": ((80, 6), np.float32),
        "action_full": ((160, 6), np.float32),
    }
    assert np.array_equal(found["action"], found["action_full"][::2])
    given = SO101.action.to_motor(np.reshape(request.start["conditioning/actions"], (8, 6)))
    assert found["action_full"][:8] == pytest.approx(given, abs=1e-4)
    start = SO101.action.to_motor(np.array(request.start["articulation/robot/joint_position"]))
    assert found["observation.state"][0] == pytest.approx(start, abs=1e-4)
    assert set(result.truth_facts) == {"success", "planned_failure", "defect"}
    assert result.notes == {}


@pytest.mark.parametrize("row0", [6, 120])
def test_replaying_the_truth_gives_the_same_outcome_to_the_bit(tmp_path: Path, row0: int) -> None:
    made = generator(defect_share=0.0)
    for sample in ("ac", "ad"):
        request = generate_request(tmp_path, f"{sample}{row0}", row0=row0, frames=120)
        result = generate(made, request)[0]
        metrics = replayed(request, result)
        assert metrics["success"] == result.truth_facts["success"]
        again = replayed(request, result)
        assert again["final_joint_pos"] == metrics["final_joint_pos"]
        near = SO101.action.to_motor(np.array(metrics["final_joint_pos"])) - truth(result)["observation.state"][-1]
        assert np.abs(near).max() < 3.0  # one frame later, at rest


def test_the_same_request_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    one, two = (generate_request(tmp_path / "x", name, frames=60) for name in ("ae", "af"))
    again = generate_request(tmp_path / "y", "ae", frames=60)
    first, second = generate(generator(), one, two)
    alone = generate(generator(), again)[0]
    assert first.video.read_bytes() == alone.video.read_bytes()
    assert np.array_equal(truth(first)["action_full"], truth(alone)["action_full"])
    assert first.truth_facts == alone.truth_facts
    assert not np.array_equal(truth(first)["action_full"], truth(second)["action_full"])
    other_seed = dataclasses.replace(generate_request(tmp_path / "z", "ae", frames=60), seed=12)
    assert not np.array_equal(truth(generate(generator(), other_seed)[0])["action"], truth(first)["action"])


def test_attempts_are_not_the_demos_own_and_shares_are_kept(tmp_path: Path) -> None:
    hopeful, doomed = generator(failure_share=0.0, defect_share=0.0), generator(failure_share=1.0, defect_share=0.0)
    good = [generate(hopeful, generate_request(tmp_path / "g", f"{i:02x}", frames=135))[0] for i in range(4)]
    bad = [generate(doomed, generate_request(tmp_path / "b", f"{i:02x}", frames=135))[0] for i in range(4)]
    assert sum(result.truth_facts["success"] for result in good) >= 3
    assert not any(result.truth_facts["success"] for result in bad)
    assert all(result.truth_facts["planned_failure"] for result in bad)
    ends = np.stack([truth(result)["action"][70] for result in good])
    assert (ends.std(axis=0)[:4] > 0.5).all()


def test_static_shows_the_clips_last_frame_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = generate(only(monkeypatch, "static"), generate_request(tmp_path, "ba", frames=60))[0]
    video = read_all(result.video)
    assert result.truth_facts["defect"] == "static"
    assert np.abs(video[5:].astype(int) - video[5]).mean() < 1.0


def test_vanish_takes_the_cube_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = generate(only(monkeypatch, "vanish"), generate_request(tmp_path, "bb", frames=60))[0]
    video = read_all(result.video).astype(int)
    red = ((video[..., 0] > 80) & (video[..., 0] > 3 * video[..., 1])).sum(axis=(1, 2))
    assert red[:5].min() > 30
    assert red[-25:].max() < 10


def test_jump_leaves_frames_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = generate(only(monkeypatch, "jump"), generate_request(tmp_path, "bc", frames=130))[0]
    video = read_all(result.video).astype(int)
    assert len(video) == 130
    steps = np.abs(np.diff(video, axis=0)).mean(axis=(1, 2, 3))[5:]
    largest = int(steps.argmax())
    around = np.delete(steps[max(0, largest - 4) : largest + 5], min(4, largest))
    assert steps[largest] > 1.7 * np.median(around)


def test_wrong_start_does_not_begin_with_the_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = generate(only(monkeypatch, "wrong-start"), generate_request(tmp_path, "bd", frames=60))[0]
    video = read_all(result.video)
    assert len(video) == 60
    assert max(psnr(video[index], clip_frames(6)[index]) for index in range(5)) < 27


def test_truncated_cannot_be_read_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = generate(only(monkeypatch, "truncated"), generate_request(tmp_path, "be", frames=60))[0]
    with pytest.raises(VideoError):
        assert len(read_all(result.video)) == 60, VideoError(result.video, "truncated", "short")


def test_requests_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    request, made = generate_request(tmp_path, "ca"), generator()
    missing = {key: value for key, value in request.start.items() if key != "conditioning/actions"}
    for changes, message in (
        ({"start": missing}, "has 0 numbers under 'conditioning/actions'"),
        ({"width": 320}, "the clip has 5 frames of 160x120"),
        ({"frames": 5}, "wanted are more"),
        ({"fps": 25.0}, "do not divide control_hz"),
    ):
        with pytest.raises(InputError, match=message):
            generate(made, dataclasses.replace(request, **changes))
