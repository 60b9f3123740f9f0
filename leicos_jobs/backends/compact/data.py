"""Training episodes of a LeRobot v2.1 folder: what the trainer reads, and every way in which that can be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.compact import images
from leicos_jobs.core.cores import available_cores
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_layout import IMAGES
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def digest(dataset: Dataset, camera: str, episodes: Sequence[int]) -> str:
    """Hex sha256 over the bytes of these episodes' files, in order: what the model saw."""
    parts = [(sha256_file(dataset.data_path(e)), sha256_file(dataset.video_path(e, camera))) for e in episodes]
    return digest_of({"camera": IMAGES + camera, "fps": float(dataset.fps), "files": parts})


def rows(dataset: Dataset, index: int, robot: Embodiment) -> tuple[F32, F32]:
    """Actions and the positions of their joints, (n, action width) float32 motor units. Raises InputError."""
    episode = dataset.episode(index)
    for name, values in (("action", episode.actions), ("observation.state", episode.states)):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise InputError(
                f"{dataset.data_path(index)}: {name} is not finite in row {row}", fix="leave this demo out"
            )
    return episode.actions, robot.action_positions(episode.states, episode.actions)


@dataclass(frozen=True)
class Training:
    """All training frames in RAM. frames: (N, h+2M, w+2M, 3) uint8 windows with border; actions, states:
    (N, action width) float32 motor units, the states those of the action's joints;
    bounds: (episodes, 2) first and one past the last row of each episode."""

    frames: U8
    actions: F32
    states: F32
    bounds: NDArray[np.int64]
    spec: images.ImageSpec


def load(
    dataset: Dataset, camera: str, episodes: Sequence[int], *, robot: Embodiment, image_width: int, crop: str
) -> Training:
    """Read the training episodes, choose the window on them, and keep the frames."""
    feature = dataset.features[IMAGES + camera]
    names = feature.get("names") or ["height", "width", "channels"]
    size = (int(feature["shape"][names.index("width")]), int(feature["shape"][names.index("height")]))
    factor = images.reduction(size, image_width)
    videos: list[U8] = []
    actions: list[F32] = []
    states: list[F32] = []
    with ThreadPoolExecutor(available_cores()) as pool:  # decoding and reducing leave Python's lock
        pictures = pool.map(lambda e: images.read_reduced(dataset.video_path(e, camera), size, factor), episodes)
        try:
            for episode, frames in zip(episodes, pictures, strict=True):
                action, state = rows(dataset, episode, robot)
                if len(frames) != len(action):
                    video = dataset.video_path(episode, camera)
                    raise InputError(
                        f"{video} has {len(frames)} frames, its parquet {len(action)} rows",
                        fix="run `leicos convert` again",
                    )
                videos.append(frames)
                actions.append(action)
                states.append(state)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    spec = images.choose_window(videos, size, factor, crop)
    ends = np.cumsum([len(action) for action in actions])
    bounds = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    windows = np.concatenate([images.window(frames, spec) for frames in videos])
    return Training(windows, np.concatenate(actions), np.concatenate(states), bounds, spec)
