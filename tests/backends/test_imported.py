"""generate/import: existing videos, each mapped to a demo and row0, become samples; whatever codec they have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import foreign, images

from leicos_jobs.backends.imported import ImportGenerator, ImportSettings
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.compare import psnr
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import verify

FRAMES = 12
VIDEO = images(3 * FRAMES)[::3]


def request(tmp_path: Path, video: Path | None, demo: str = "demo_0", seed: int = 21) -> GenerateRequest:
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
        outside={"video": sha256_file(video) if video else "0" * 64},
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

    (result,) = made.process([request(tmp_path, tmp_path / "a.mp4")], begun.append)

    verify(result.video, frames=FRAMES, fps=30, size=(64, 48))
    found = read_all(result.video)
    assert psnr(found, VIDEO) > 25
    order = [int(np.argmin([np.abs(frame.astype(int) - other).mean() for other in VIDEO])) for frame in found]
    assert order == list(range(FRAMES))
    assert (begun, result.sample, result.notes) == (["0" * 20], "0" * 20, {"imported": "a.mp4"})


def test_a_video_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    made = generator(tmp_path, "", {"file": "a.mp4", "demo": "demo_0"})
    with pytest.raises(InputError, match="the video of demo_0, row 5, has changed"):
        list(made.process([request(tmp_path, None)], lambda _sample: None))


def test_the_list_is_the_plan(tmp_path: Path) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    foreign(tmp_path / "b.mp4", VIDEO[:9])
    lines = {"file": "a.mp4", "demo": "demo_3", "task": "Push."}, {"file": "b.mp4", "demo": "demo_3", "row0": 9}
    generator(tmp_path, *lines)
    settings = ImportSettings(folder=tmp_path)
    first, second = ImportGenerator.lines(settings)
    assert (first.demo, first.row0, first.seed, first.frames, first.task) == ("demo_3", None, 0, FRAMES, "Push.")
    assert (second.row0, second.frames, second.task) == (9, 9, None)
    assert first.outside != second.outside
    ImportGenerator.check_run(settings, 140, 64, 48)
    with pytest.raises(InputError, match=rf"{tmp_path}/videos.jsonl:1: {tmp_path}/a.mp4 is 64x48, .* say 32x48"):
        ImportGenerator.check_run(settings, 140, 32, 48)


def test_a_broken_video_is_named_by_its_line_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    generator(tmp_path, {"file": "a.mp4", "demo": "demo_0"})
    with pytest.raises(InputError, match=rf"videos.jsonl:1: {tmp_path}/a.mp4"):
        ImportGenerator.check_run(ImportSettings(folder=tmp_path), 140, 64, 48)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "videos.jsonl:1: is not JSON"),
        ({"file": "a.mp4", "row0": 5}, "videos.jsonl:1: .*demo"),
        ({"file": "a.mp4", "demo": "demo_0", "row0": "x"}, "videos.jsonl:1: .*row0"),
        ({"file": "gone.mp4", "demo": "demo_0", "row0": 5, "seed": 1}, "gone.mp4 does not exist"),
        ([], "videos.jsonl:1: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, said: str) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    with pytest.raises(InputError, match=said):
        generator(tmp_path, line)


def test_a_video_stands_in_one_line(tmp_path: Path) -> None:
    foreign(tmp_path / "a.mp4", VIDEO)
    line = {"file": "a.mp4", "demo": "demo_0", "row0": 5, "seed": 21}
    with pytest.raises(InputError, match=r"videos.jsonl:2: a.mp4 stands in"):
        generator(tmp_path, line, line)
