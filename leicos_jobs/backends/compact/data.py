"""Training episodes of a LeRobot v2.1 folder: what the trainer reads, and every way in which that can be wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.backends.compact import images
from leicos_jobs.core.cores import available_cores
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Dataset:
    """What meta/info.json says. size: (width, height) px of the camera's videos."""

    root: Path
    camera: str
    fps: float
    size: tuple[int, int]
    episodes: int
    _info: dict[str, Any]

    @classmethod
    def open(cls, root: Path, camera: str) -> Dataset:
        """Read meta/info.json. camera: `front` or `observation.images.front`. Raises InputError."""
        path = root / "meta" / "info.json"
        key = camera if camera.startswith("observation.images.") else f"observation.images.{camera}"
        try:
            info = json.loads(path.read_text())
            feature = info["features"][key]
            names, shape = feature.get("names") or ["height", "width", "channels"], feature["shape"]
            size = (int(shape[names.index("width")]), int(shape[names.index("height")]))
            return cls(root, key, float(info["fps"]), size, int(info["total_episodes"]), info)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} does not describe a LeRobot v2.1 dataset with camera {key!r}: {error!r}",
                fix="run `leicos convert`, and name a camera that the dataset has",
            ) from error

    def _path(self, template: str, episode: int) -> Path:
        chunk = episode // int(self._info.get("chunks_size", 1000))
        return self.root / template.format(episode_chunk=chunk, episode_index=episode, video_key=self.camera)

    def rows_path(self, episode: int) -> Path:
        """Parquet file of an episode."""
        default = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        return self._path(self._info.get("data_path") or default, episode)

    def video_path(self, episode: int) -> Path:
        """Video file of an episode."""
        default = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
        return self._path(self._info.get("video_path") or default, episode)

    def rows(self, episode: int, robot: Embodiment) -> tuple[F32, F32]:
        """Columns action and observation.state, float32 motor units, checked. Raises InputError."""
        path = self.rows_path(episode)
        try:
            table = pq.read_table(path, columns=["action", "observation.state"])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} cannot be read: {error}", fix="run `leicos convert` again") from error
        found = []
        for column, vector in (("action", robot.action), ("observation.state", robot.state)):
            width = vector.width
            values = np.array(table[column].to_pylist(), dtype=np.float32)
            if values.ndim != 2 or values.shape[1] != width or not len(values):
                raise InputError(f"{path}: {column} has shape {values.shape}, wanted (rows, {width})")
            if not np.isfinite(values).all():
                row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                raise InputError(f"{path}: {column} is not finite in row {row}", fix="leave this demo out")
            found.append(values)
        return found[0], robot.action_positions(found[1], found[0])

    def digest(self, episodes: Sequence[int]) -> str:
        """Hex sha256 over the bytes of these episodes' files, in order: what the model saw."""
        parts = [(sha256_file(self.rows_path(e)), sha256_file(self.video_path(e))) for e in episodes]
        return digest_of({"camera": self.camera, "fps": self.fps, "files": parts})


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
    dataset: Dataset,
    episodes: Sequence[int],
    *,
    robot: Embodiment,
    image_width: int,
    crop: str,
) -> Training:
    """Read the training episodes, choose the window on them, and keep the frames."""
    if not episodes:
        raise InputError("no training episode", fix="record more demonstrations or hold fewer out")
    factor = images.reduction(dataset.size, image_width)
    videos: list[U8] = []
    actions: list[F32] = []
    states: list[F32] = []
    with ThreadPoolExecutor(available_cores()) as pool:  # decoding and reducing leave Python's lock
        pictures = pool.map(lambda e: images.read_reduced(dataset.video_path(e), dataset.size, factor), episodes)
        try:
            for episode, frames in zip(episodes, pictures, strict=True):
                action, state = dataset.rows(episode, robot)
                if len(frames) != len(action):
                    raise InputError(
                        f"{dataset.video_path(episode)} has {len(frames)} frames, its parquet {len(action)} rows",
                        fix="run `leicos convert` again",
                    )
                videos.append(frames)
                actions.append(action)
                states.append(state)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    spec = images.choose_window(videos, dataset.size, factor, crop)
    ends = np.cumsum([len(action) for action in actions])
    bounds = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    windows = np.concatenate([images.window(frames, spec) for frames in videos])
    return Training(windows, np.concatenate(actions), np.concatenate(states), bounds, spec)
