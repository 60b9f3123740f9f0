"""LeRobot v2.1, as lerobot 0.3.3 lays it out: what GR00T-Dreams, GR00T N1.5 and the tutorial read.

One parquet and one mp4 a camera and episode, in chunk folders of 1000 (docs/decisions/lerobot.md 1). `meta/info.json`
is written last: a folder without it is not a dataset, whatever else is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.core.files import link_or_copy
from leicos_jobs.core.text import json_line
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_stats import Stats, episode_stats, video_stats
from leicos_jobs.media.encode import CRF, GOP, PRESET, write_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import VideoInfo, probe
from leicos_jobs.media.rates import as_rate
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

VERSION = "v2.1"
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
ROW_GROUP = 1000
"""Rows a parquet row group, the batch size of `datasets`."""

META = {"tasks": "meta/tasks.jsonl", "episodes": "meta/episodes.jsonl", "stats": "meta/episodes_stats.jsonl"}


def data_file(episode: int) -> Path:
    """Parquet of an episode, below the dataset's root."""
    return Path(DATA_PATH.format(episode_chunk=episode // layout.CHUNKS_SIZE, episode_index=episode))


def video_file(episode: int, camera: str) -> Path:
    """Video of an episode and camera, below the dataset's root."""
    chunk = episode // layout.CHUNKS_SIZE
    return Path(VIDEO_PATH.format(episode_chunk=chunk, episode_index=episode, video_key=layout.IMAGES + camera))


@dataclass(frozen=True)
class EncodeSettings:
    """How images are encoded where a writer has to do it. Values of x264."""

    crf: int = CRF
    preset: str = PRESET
    gop: int = GOP


class DatasetWriter:
    """Writes a dataset one episode at a time; memory does not grow with the number of episodes.

    The folder must be empty or absent. Nothing counts until `finish`.
    """

    def __init__(
        self,
        root: Path,
        embodiment: Embodiment,
        cameras: Sequence[str],
        fps: float | Fraction,
        *,
        encode: EncodeSettings | None = None,
    ) -> None:
        """Start a dataset. Raises InputError if the folder has something in it or cannot be written."""
        self.root = root
        self.embodiment = embodiment
        self.cameras = tuple(cameras)
        self.fps = as_rate(fps)
        self.episodes = 0
        self.frames = 0
        self._encode = encode or EncodeSettings()
        self._tasks: dict[str, int] = {}
        self._sizes: dict[str, VideoInfo] = {}
        if root.exists() and any(root.iterdir()):
            raise InputError(f"{root}: is not empty", fix="give a new folder")
        (root / "meta").mkdir(parents=True, exist_ok=True)
        self._lines: dict[str, IO[str]] = {
            name: (root / path).open("w", encoding="utf-8") for name, path in META.items()
        }

    def add_episode(
        self,
        actions: F32,
        states: F32,
        task: str,
        videos: Mapping[str, Path | Iterable[U8]],
        *,
        image_stats: Mapping[str, Stats] | None = None,
    ) -> int:
        """Append an episode; returns its index.

        actions: (n, action width), states: (n, state width), float32 motor units. task: its text. videos: for each
        camera a finished H.264 file, which is hard-linked or copied as it is, or images (H, W, 3) uint8 to encode.
        image_stats: of each camera as `lerobot_stats.ImageStats.result` gives them; left out, the video is decoded.
        Raises InputError (VideoError) if lengths, widths, rate, codec or sizes do not fit, naming the file.
        """
        index = self.episodes
        actions, states = (
            self._vectors(values, what, vector.width)
            for values, what, vector in (
                (actions, "actions", self.embodiment.action),
                (states, "states", self.embodiment.state),
            )
        )
        if len(actions) != len(states):
            raise InputError(f"episode {index}: {len(actions)} actions but {len(states)} states")
        if set(videos) != set(self.cameras):
            raise InputError(f"episode {index}: videos of {sorted(videos)}, wanted {sorted(self.cameras)}")
        stats: dict[str, Stats] = {}
        for camera in self.cameras:
            path = self._place(index, camera, videos[camera], len(actions))
            known = (image_stats or {}).get(camera)
            stats[layout.IMAGES + camera] = known or video_stats(path, len(actions))
        self._record(index, actions, states, task, stats)
        return index

    def _vectors(self, values: F32, what: str, width: int) -> F32:
        array = np.ascontiguousarray(values, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != width or not len(array):
            raise InputError(f"episode {self.episodes}: {what} have shape {array.shape}, wanted (n, {width}), n > 0")
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise InputError(f"episode {self.episodes}: {what} are not finite at row {row}")
        return array

    def _place(self, index: int, camera: str, video: Path | Iterable[U8], frames: int) -> Path:
        target = self.root / video_file(index, camera)
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(video, Path):
            if not video.is_file():
                raise VideoError(video, "missing", "no such file")
            link_or_copy(video, target)
        else:
            how = self._encode
            write_video(target, video, self.fps, crf=how.crf, preset=how.preset, gop=how.gop)
        info = probe(target)
        first = self._sizes.setdefault(camera, info)
        source = video if isinstance(video, Path) else target
        if (info.codec, info.pix_fmt) != ("h264", "yuv420p"):
            raise VideoError(source, "codec", f"is {info.codec} {info.pix_fmt}, not h264 yuv420p", fix="transcode it")
        if info.frames != frames:
            raise VideoError(source, "frames", f"has {info.frames} frames for {frames} rows")
        if info.fps != self.fps or not info.constant:
            raise VideoError(source, "fps", f"plays at {float(info.fps):g}, not {float(self.fps):g}", fix="restamp it")
        if info.size != first.size:
            raise VideoError(source, "size", f"is {info.width}x{info.height}, not {first.width}x{first.height}")
        return target

    def _record(self, index: int, actions: F32, states: F32, task: str, images: Mapping[str, Stats]) -> None:
        if task not in self._tasks:
            self._tasks[task] = len(self._tasks)
            self._lines["tasks"].write(json_line({"task_index": self._tasks[task], "task": task}))
        data = layout.columns(
            actions,
            states,
            self.fps,
            episode_index=index,
            first_index=self.frames,
            task_index=self._tasks[task],
        )
        path = self.root / data_file(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = layout.table(data)
        pq.write_table(rows, path, compression="snappy", row_group_size=ROW_GROUP)
        episode = {"episode_index": index, "tasks": [task], "length": len(actions)}
        self._lines["episodes"].write(json_line(episode))
        stats = {"episode_index": index, "stats": episode_stats(data, images)}
        self._lines["stats"].write(json_line(stats))
        self.episodes += 1
        self.frames += len(actions)

    def finish(self) -> dict[str, Any]:
        """Close the files and write info.json, which makes it a dataset; returns it. Raises InputError if empty.

        Files that must be complete before the dataset counts (modality.json, provenance) are to be written before.
        """
        self.close()
        if not self.episodes:
            raise InputError(f"{self.root}: a dataset needs at least one episode")
        if (self.root / layout.INFO).exists():
            raise DefectError(f"{self.root}: finish() was called twice")
        robot = self.embodiment
        names = {layout.ACTION: robot.action.feature_names, layout.STATE: robot.state.feature_names}
        features = layout.features(names, self._sizes, self.fps)
        tasks = len(self._tasks)
        return write_info(self.root, robot.robot_type, self.fps, features, self.episodes, self.frames, tasks)

    def close(self) -> None:
        """Close the open files without making it a dataset."""
        for stream in self._lines.values():
            stream.close()


def write_info(
    root: Path,
    robot_type: str | None,
    fps: Fraction,
    features: Mapping[str, Any],
    episodes: int,
    frames: int,
    tasks: int,
) -> dict[str, Any]:
    """Write info.json, which makes it a dataset; returns it. episodes, frames, tasks: how many."""
    cameras = sum(feature["dtype"] == "video" for feature in features.values())
    info = {
        "codebase_version": VERSION,
        "robot_type": robot_type,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "total_videos": episodes * cameras,
        "total_chunks": math.ceil(episodes / layout.CHUNKS_SIZE),
        "chunks_size": layout.CHUNKS_SIZE,
        "fps": layout.plain_rate(fps),
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
    }
    part = root / "meta" / "info.json.part"
    layout.write_json(part, info)
    part.replace(root / layout.INFO)
    return info
