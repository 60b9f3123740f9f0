"""Preprocessing, step by step against the originals: swscale, PyTorch's resize, Pillow's resize; and the kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import av
import gr00t_small as small
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from PIL import Image
from torch.nn import functional

from leicos_jobs.backends.gr00t_dreams import pixels
from leicos_jobs.backends.gr00t_dreams.decode_worker import copy_planes
from leicos_jobs.media.decode import decode_frames, read_all
from leicos_jobs.media.encode import write_video

SIZES = [(640, 480), (320, 240), (256, 256), (64, 48)]


def view(size: tuple[int, int], resize: int = 224, image: int = 256) -> pixels.View:
    return pixels.View(*size, crop=0.95, resize=resize, image=image, patch=16, resample=2)


def test_planes_become_the_rgb_that_decoders_give(tmp_path):
    """PyAV's rgb24 is swscale's; decord's, which upstream uses, is the same (checked by hand on decord 0.6.0)."""
    path = tmp_path / "video.mp4"
    write_video(path, small.pictures(4, 96, 64), 30)
    planes = np.empty((4, 96 * 64 * 3 // 2), np.uint8)
    for k, frame in enumerate(decode_frames(path)):
        copy_planes(frame, planes[k], VideoReformatter())
    ours = pixels.to_rgb(torch.from_numpy(planes), 96, 64).numpy()
    assert np.array_equal(ours, read_all(path))


def test_every_level_of_every_plane():
    rng = np.random.default_rng(0)
    frame = av.VideoFrame(64, 64, "yuv420p")
    planes = rng.integers(0, 256, 64 * 64 * 3 // 2).astype(np.uint8)
    at = 0
    for plane, side in zip(frame.planes, (64, 32, 32), strict=True):
        padded = np.zeros((side, plane.line_size), np.uint8)
        padded[:, :side] = planes[at : at + side * side].reshape(side, side)
        plane.update(padded.tobytes())
        at += side * side
    ours = pixels.to_rgb(torch.from_numpy(planes[None]), 64, 64)[0].numpy()
    assert np.array_equal(ours, frame.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("size", SIZES)
def test_shrinking_is_torchvisions(size):
    """CenterCrop and the antialiased Resize of torchvision are these calls; the cut to uint8 is VideoToNumpy's."""
    pictures = torch.from_numpy(small.pictures(2, *size))
    made = pixels.Preprocessor(view(size), torch.device("cpu"), torch.float32, fused=False)
    left, top, wide, tall = made.view.box
    assert (wide, tall) == (int(size[0] * 0.95), int(size[1] * 0.95))
    scaled = (pictures.float() / 255.0).permute(0, 3, 1, 2)[:, :, top : top + tall, left : left + wide]
    whole = functional.interpolate(scaled, size=(224, 224), mode="bilinear", antialias=True)
    assert torch.equal(made._shrunk(pictures), (whole * 255).to(torch.uint8))
    assert torch.equal(summed(scaled, made), whole), "the kernels' order of summation is not PyTorch's"


def summed(scaled: torch.Tensor, made: pixels.Preprocessor) -> torch.Tensor:
    """The resize as the kernels do it: products added one by one in groups of four, the rest fused."""

    def along(x: np.ndarray, taps: pixels.Taps) -> np.ndarray:
        total = np.zeros((*x.shape[:-1], len(taps.start)), np.float32)
        grouped = (taps.count - 1) // pixels.GROUP * pixels.GROUP
        for tap, weight in enumerate(taps.weights):
            value = x[..., np.minimum(taps.start + tap, x.shape[-1] - 1)]
            fused = (total.astype(np.float64) + value.astype(np.float64) * weight).astype(np.float32)
            plain = total + value * weight
            total = np.where((tap > grouped) & (tap > 0), fused, plain)
        return total

    across = along(scaled.numpy(), made.across)
    return torch.from_numpy(along(across.swapaxes(-1, -2), made.down).swapaxes(-1, -2).copy())


@pytest.mark.parametrize("resample", [pixels.PIL_BILINEAR, pixels.PIL_BICUBIC])
@pytest.mark.parametrize(("size", "target"), [(224, 256), (48, 64), (64, 40)])
def test_enlarging_is_pillows(resample, size, target):
    picture = np.random.default_rng(1).integers(0, 256, (size, size, 3)).astype(np.uint8)
    theirs = np.asarray(Image.fromarray(picture).resize((target, target), resample))
    taps = pixels.pil_taps(size, target, resample)
    across = pixels._pil_pass(torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous(), taps)
    ours = pixels._pil_pass(across.transpose(2, 3), taps).transpose(2, 3)
    assert np.array_equal(ours[0].permute(1, 2, 0).numpy(), theirs)


def test_levels_are_the_image_processors():
    """1/255 in double, then single; mean and deviation one half."""
    found = pixels.levels()
    assert found.dtype == np.float32
    assert (found[0], found[255]) == (-1.0, 1.0)
    assert np.array_equal(found, ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(0.5)) / np.float32(0.5))


def test_patches_are_ordered_as_the_convolution_reads_them():
    made = pixels.Preprocessor(view((64, 64), 64, 64), torch.device("cpu"), torch.float32, fused=False)
    pictures = torch.from_numpy(small.pictures(1, 64, 64))
    found = made.patches(pictures)
    weight = torch.randn(5, 3, 16, 16)
    images = made.levels[made._enlarged(made._shrunk(pictures)).long()]
    theirs = functional.conv2d(images, weight, stride=16).flatten(2).transpose(1, 2)
    assert torch.allclose(found @ weight.flatten(1).T, theirs, atol=1e-4)


def test_kernels_in_triton_s_interpreter():
    """The CUDA kernels, run by Triton's interpreter on the CPU, against the plain operations. Its multiply-add rounds
    twice, so pixels may differ by a level where a sum lies on the edge."""
    pytest.importorskip("triton")
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": f"{root}{os.pathsep}{Path(__file__).parent}"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "gr00t_kernels.py")], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
