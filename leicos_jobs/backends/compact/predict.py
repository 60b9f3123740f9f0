"""Labels from frames. The same code serves training and the labeller."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from leicos_jobs.backends.compact import augment, head
from leicos_jobs.backends.compact.artifact import Artifact, Norms
from leicos_jobs.backends.compact.model import Encoder

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


def label(model: Artifact, windows: U8, device: torch.device) -> F32:
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


def hann(actions: F32, rows: int) -> F32:
    """Weighted mean over `rows` (odd) neighbouring rows with a Hann window; beyond the ends the end row is repeated."""
    weights = np.hanning(rows + 2)[1:-1]
    weights /= weights.sum()
    reach = rows // 2
    index = np.clip(np.arange(len(actions))[:, None] + np.arange(-reach, reach + 1), 0, len(actions) - 1)
    return np.asarray(np.einsum("tkj,k->tj", actions[index].astype(np.float64), weights), dtype=np.float32)
