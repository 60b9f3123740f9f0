"""Labels from frames. The same code serves training and the labeller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from leicos_jobs.backends import fuse
from leicos_jobs.backends.compact import augment, head, images, machine
from leicos_jobs.backends.compact.artifact import Artifact, Norms
from leicos_jobs.backends.compact.model import Encoder
from leicos_jobs.backends.compact.settings import LabellerSettings
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.media.probe import probe

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
PASS = 32
"""Frames a forward pass; fixed and padded, since another size may give other last bits."""


def estimates(encoder: Encoder, windows: U8, norms: Norms, device: torch.device) -> F32:
    """Encoder output (N, 2, joints), normalised, for uint8 windows (N, h, w, 3) without border. The encoder must be
    on `device` and in eval mode. A frame's result does not depend on what else is in its pass."""
    mean = torch.from_numpy(norms.pixel_mean).to(device)
    std = torch.from_numpy(norms.pixel_std).to(device)
    found = []
    with torch.no_grad():
        for start in range(0, len(windows), PASS):
            part = windows[start : start + PASS]
            padded = np.zeros((PASS, *windows.shape[1:]), dtype=np.uint8)
            padded[: len(part)] = part
            out = encoder(augment.normalise(torch.from_numpy(padded).to(device), mean, std))
            found.append(out[: len(part)].cpu().numpy())
    return np.concatenate(found)


def label(model: Artifact, settings: LabellerSettings, video: Path) -> F32:
    """Actions (frames, joints) float32 in motor units. Raises InputError if the video's size or frame rate are not the
    training's."""
    info = probe(video)
    if info.size != model.spec.source:
        raise images.geometry_error(video, info.size, model.spec.source)
    if abs(float(info.fps) - model.fps) > 0.01:
        raise InputError(
            f"{video} plays at {float(info.fps):g} frames/s, the model was trained on {model.fps:g}",
            fix="re-stamp the video to the dataset's frame rate",
        )
    windows = images.read_windows(video, model.spec)
    with machine.settled(settings.device, settings.threads) as device:
        model.encoder.to(device)
        actions = actions_of(model, windows, device)
    if settings.smoothing == "hann":
        actions = fuse.smooth(actions, settings.smoothing_rows)
    if len(actions) != info.frames or not np.isfinite(actions).all():
        raise DefectError(f"{video}: {len(actions)} labels for {info.frames} frames, or some not finite")
    return actions


def actions_of(model: Artifact, windows: U8, device: torch.device) -> F32:
    """Actions (N, joints) in motor units for a video's windows (N, h, w, 3); row k belongs to frame k."""
    norms = model.norms
    found = estimates(model.encoder, windows, norms, device)
    rows = to_common(found, norms)[head.neighbours(len(found))]
    with torch.no_grad():
        out = model.head(torch.from_numpy(rows)).numpy()
    return np.asarray(out * norms.std + norms.mean, dtype=np.float32)


def to_common(found: F32, norms: Norms) -> F32:
    """The encoder gives action - state in units of its own spread, the head works in units of the state's."""
    scale = np.stack([np.ones_like(norms.std), norms.step / norms.std])
    return np.asarray(found * scale, dtype=np.float32)
