"""Labels of one video: its frames through a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leicos_jobs.backends.compact import images, machine, predict
from leicos_jobs.backends.compact.artifact import Artifact
from leicos_jobs.backends.compact.settings import LabellerSettings
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.media.probe import probe


def label(model: Artifact, settings: LabellerSettings, video: Path) -> predict.F32:
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
        actions = predict.label(model, windows, device)
    if settings.smoothing == "hann":
        actions = predict.hann(actions, settings.smoothing_rows)
    if len(actions) != info.frames or not np.isfinite(actions).all():
        raise DefectError(f"{video}: {len(actions)} labels for {info.frames} frames, or some not finite")
    return actions
