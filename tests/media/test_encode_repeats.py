"""Repeated images as constant packets: the same pixels again, frame for frame, for every decoder at hand."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError
from leicos_jobs.media.compare import psnr
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import Encoder
from leicos_jobs.media.encode_repeats import RepeatEncoder
from leicos_jobs.media.probe import probe, verify

U8 = NDArray[np.uint8]
SIZE = (160, 128)


needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None,
    reason="ffmpeg is not installed: nobody but PyAV has looked at repeated frames (apt install ffmpeg)",
)


def images(count: int) -> U8:
    """Soft grain over a gradient with a moving square: no two are alike."""
    chance = np.random.default_rng(3)
    ramp = np.linspace(40, 180, SIZE[0])[None, :, None] + np.zeros((SIZE[1], 1, 3))
    found = ramp[None] + chance.normal(0, 2, (count, SIZE[1], SIZE[0], 3))
    for index in range(count):
        found[index, 30:70, 4 * index % 100 : 4 * index % 100 + 30] = (220, 40, 40)
    return found.clip(0, 255).astype(np.uint8)


def write(path: Path, shown: list[int], kind: type[Encoder], **settings: object) -> U8:
    """Encode each image as often as `shown` says; returns what was shown."""
    given = images(len(shown))
    with kind(path, 60, SIZE, **settings) as encoder:  # type: ignore[arg-type]
        for image, times in zip(given, shown, strict=True):
            encoder.add(image)
            for _ in range(times - 1):
                encoder.repeat()
    return np.repeat(given, shown, axis=0)


@pytest.mark.parametrize("shown", [[2] * 12, [1, 2, 2, 2, 1], [2, 3, 1, 4, 2], [1] * 7, [5], [2]])
@pytest.mark.parametrize("preset", ["superfast", "medium"])
def test_every_repeat_has_the_pixels_of_its_image(tmp_path: Path, shown: list[int], preset: str) -> None:
    path = tmp_path / "a.mp4"
    source = write(path, shown, RepeatEncoder, preset=preset)

    verify(path, frames=sum(shown), fps=60)
    found = read_all(path)
    begin = 0
    for times in shown:
        group = found[begin : begin + times]
        assert psnr(group[0], source[begin]) > 32
        for number in range(0, times - 1, 2):  # the third showing is a picture of its own again
            assert (group[number] == group[number + 1]).all()
        begin += times


@needs_ffmpeg
def test_ffmpeg_decodes_it_without_a_word(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, [2] * 20, RepeatEncoder)

    command = ["ffmpeg", "-v", "warning", "-err_detect", "explode", "-i", str(path), "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    frames = [line.split(",")[-1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len(frames) == 40
    assert frames[::2] == frames[1::2]
    assert len(set(frames)) == 20


@pytest.mark.parametrize("preset", ["superfast", "medium"])
def test_as_good_as_the_encoder_that_sees_the_repeats(tmp_path: Path, preset: str) -> None:
    quality, size = {}, {}
    for kind in (Encoder, RepeatEncoder):
        path = tmp_path / f"{kind.__name__}.mp4"
        source = write(path, [2] * 30, kind, preset=preset)
        found = read_all(path)
        quality[kind] = float(np.mean([psnr(one, other) for one, other in zip(found, source, strict=True)]))
        size[kind] = path.stat().st_size

    assert quality[RepeatEncoder] > quality[Encoder] - 0.5
    assert size[RepeatEncoder] < 1.1 * size[Encoder]


@needs_ffmpeg
def test_any_frame_is_at_most_one_decode_from_a_key_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, [2, 1, 3, 2, 2], RepeatEncoder)

    command = ["ffprobe", "-v", "error", "-show_entries", "packet=flags", "-of", "csv=p=0", str(path)]
    flags = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    keys = ["K" in flag for flag in flags]
    assert keys[0]
    assert all(one or other for one, other in pairwise(keys))
    assert probe(path).frames == len(keys) == 10


def test_nothing_to_repeat_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(DefectError), RepeatEncoder(tmp_path / "a.mp4", 60, SIZE) as encoder:
        encoder.repeat()
    assert list(tmp_path.iterdir()) == []
