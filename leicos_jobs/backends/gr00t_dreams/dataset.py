"""The training episodes of a LeRobot v2.1 dataset as upstream wants them: a folder of links, renumbered, no more.

Upstream trains on every episode that meta/episodes.jsonl lists, takes normalisation from meta/stats.json (which it
would write into the dataset if it were missing), and looks lengths up by episode number; so the held-out demos must not
be in the folder, and the rest must be numbered from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.backends.training_data import open_training
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import json_line
from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.gr00t import StatsBuilder, write_meta
from leicos_jobs.formats.lerobot_v21 import DATA_PATH, META, VIDEO_PATH
from leicos_jobs.media.probe import probe
from leicos_jobs.robots.embodiment import Embodiment


@dataclass(frozen=True)
class TrainingView:
    """A folder that upstream can train on. geometry: (width, height) px. digest: of the bytes of its episodes."""

    root: Path
    stats: dict[str, Any]
    geometry: tuple[int, int]
    fps: float
    rows: int
    digest: str


def training_view(root: Path, out: Path, episodes: Sequence[int], robot: Embodiment, camera: str) -> TrainingView:
    """Make the view of `episodes` of the dataset `root` in the empty folder `out`.

    Raises InputError: no episode, another robot's width, no such camera, or a video whose frames are not the rows.
    """
    dataset = open_training(root, episodes, robot, camera)
    stats, digests, sizes = StatsBuilder(), [], set()
    lines: list[dict[str, Any]] = []
    for number, index in enumerate(episodes):
        episode = dataset.episode(index)
        info = probe(episode.videos[camera])
        if info.frames != len(episode):
            raise InputError(f"{info.path} has {info.frames} frames, its parquet {len(episode)} rows")
        sizes.add(info.size)
        columns = {layout.ACTION: episode.actions, layout.STATE: episode.states, "timestamp": episode.timestamps}
        columns |= {key: dataset.table(index).column(key).to_numpy() for key in layout.SCALARS if key not in columns}
        stats.add(columns)
        lines.append({"episode_index": number, "tasks": [episode.task], "length": len(episode)})
        names = {"episode_chunk": number // layout.CHUNKS_SIZE, "episode_index": number}
        _link(dataset.data_path(index), out / DATA_PATH.format(**names))
        _link(info.path, out / VIDEO_PATH.format(**names, video_key=layout.IMAGES + camera))
        digests.append((sha256_file(dataset.data_path(index)), sha256_file(info.path)))
    if len(sizes) != 1:
        raise InputError(f"{root}: training videos differ in size: {sorted(sizes)}", fix="convert them to one size")
    write_meta(out, robot, (camera,), stats)
    _write_lines(out / META["episodes"], lines)
    _write_lines(out / META["tasks"], [{"task_index": key, "task": text} for key, text in dataset.tasks.items()])
    other = {layout.IMAGES + name for name in dataset.cameras if name != camera}
    kept = {key: item for key, item in dataset.features.items() if key not in other}
    info_json = dataset.info | {
        "features": kept, "data_path": DATA_PATH, "video_path": VIDEO_PATH, "chunks_size": layout.CHUNKS_SIZE,
        "total_episodes": len(lines), "total_frames": sum(line["length"] for line in lines), "total_videos": len(lines),
        "splits": {"train": f"0:{len(lines)}"},
    }  # fmt: skip
    layout.write_json(out / layout.INFO, info_json)
    return TrainingView(
        root=out,
        stats=stats.result(),
        geometry=sizes.pop(),
        fps=float(dataset.fps),
        rows=sum(line["length"] for line in lines),
        digest=digest_of({"camera": camera, "fps": float(dataset.fps), "files": digests}),
    )


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source.resolve())


def _write_lines(path: Path, lines: Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json_line(line) for line in lines), encoding="utf-8")
