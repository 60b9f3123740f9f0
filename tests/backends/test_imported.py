"""generate/import: existing videos, each mapped to a demo and row0, become samples; whatever codec they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import foreign, images

from leicos_jobs.backends.imported import ImportGenerator, ImportSettings
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.compare import psnr
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import verify

FRAMES = 12
VIDEO = images(3 * FRAMES)[::3]


def request(tmp_path: Path, demo: str = "demo_0", seed: int = 21) -> GenerateRequest:
    out = tmp_path / f"{demo}-{seed}"
    out.mkdir()
    return GenerateRequest(
        sample="0" * 20,
        prompt="Lift",
        seed=seed,
        clip=tmp_path / "clip.mp4",
        start={},
        fps=30,
        frames=FRAMES,
        width=64,
        height=48,
        out_dir=out,
        demo_name=demo,
        row0=5,
    )


def generator(tmp_path: Path, *lines: object) -> ImportGenerator:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (tmp_path / "videos.jsonl").write_text(text)
    return ImportGenerator(ImportSettings(folder=tmp_path), None, tmp_path)


@pytest.mark.parametrize(
    ("codec", "pixels", "rate"),
    [("libx264", "yuv420p", 16), ("libx264", "yuv444p", 30), ("libsvtav1", "yuv420p", 16)],
)
def test_videos_of_any_codec_and_rate_become_ours_frame_by_frame(
    tmp_path: Path, codec: str, pixels: str, rate: int
) -> None:
    foreign(tmp_path / "a.mp4", VIDEO, codec=codec, rate=rate, pix_fmt=pixels)
    made = generator(tmp_path, {"file": "a.mp4", "demo": "demo_0", "row0": 5, "seed": 21})
    begun: list[str] = []

    (result,) = made.process([request(tmp_path)], begun.append)

    verify(result.video, frames=FRAMES, fps=30, size=(64, 48))
    found = read_all(result.video)
    assert psnr(found, VIDEO) > 25
    order = [int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in VIDEO])) for frame in found]
    assert order == list(range(FRAMES))
    assert (begun, result.sample, result.notes) == (["0" * 20], "0" * 20, {"imported": "a.mp4"})


def test_a_sample_without_a_video_is_refused_by_name(tmp_path: Path) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    made = generator(tmp_path, "", {"file": "a.mp4", "demo": "demo_0", "row0": 5, "seed": 21})
    for other in (request(tmp_path, demo="demo_1"), request(tmp_path, seed=22)):
        with pytest.raises(InputError, match=rf"\('{other.demo_name}', 5, {other.seed}\)"):
            list(made.process([other], lambda _sample: None))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "videos.jsonl:1: is not JSON"),
        ({"file": "a.mp4", "demo": "demo_0", "row0": 5}, "videos.jsonl:1: KeyError: 'seed'"),
        ({"file": "a.mp4", "demo": "demo_0", "row0": "x", "seed": 1}, "videos.jsonl:1: ValueError"),
        ({"file": "gone.mp4", "demo": "demo_0", "row0": 5, "seed": 1}, "gone.mp4 does not exist"),
        ([], "videos.jsonl:1: TypeError"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    with pytest.raises(InputError, match=said):
        generator(tmp_path, line)


def test_two_videos_for_one_sample_are_refused(tmp_path: Path) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    line = {"file": "a.mp4", "demo": "demo_0", "row0": 5, "seed": 21}
    with pytest.raises(InputError, match=r"videos.jsonl:2: a second video"):
        generator(tmp_path, line, line)
