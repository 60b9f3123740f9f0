"""Small LeRobot datasets of every version, written from docs/decisions/lerobot.md alone: nothing here imports
leicos_jobs.

Images are those of `helpers.leisaac.paint`; every number can be computed from episode, row and joint.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from helpers.leisaac import paint
from PIL import Image

SO101 = [
    f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
]


@dataclass
class DatasetSpec:
    """What to write. names: of the joints; None for none. stored: cameras whose images lie in the tables. numbers: of
    the episodes, with gaps if wanted. tasks: of the episodes, in turn. codec, gop, b_frames: of the videos. extra:
    further columns. truncated: episode whose video lacks its last frame."""

    version: str = "v2.1"
    joints: int = 6
    names: Sequence[str] | None = None
    robot_type: str = "any"
    cameras: Sequence[str] = ("front",)
    stored: Sequence[str] = ()
    sizes: Sequence[tuple[int, int]] = ((64, 48), (96, 64))
    fps: int = 30
    lengths: Sequence[int] = (40, 41, 42)
    numbers: Sequence[int] | None = None
    tasks: Sequence[str] = ("Wave.",)
    codec: str = "libx264"
    gop: int = 10
    b_frames: int = 0
    extra: bool = False
    truncated: int | None = None


def value(episode: int, row: int, joint: int, ahead: int = 0) -> np.float32:
    """Motor units of a state; of an action with ahead 1."""
    phase = 0.05 * (row + ahead) + 0.7 * joint + 0.4 * episode
    return np.float32(40 + 30 * np.sin(phase))


def vectors(episode: int, rows: int, joints: int, ahead: int = 0) -> np.ndarray:
    """(rows, joints) float32."""
    return np.array([[value(episode, t, j, ahead) for j in range(joints)] for t in range(rows)], np.float32)


def pictures(episode: int, rows: int, size: tuple[int, int], camera: int) -> list[np.ndarray]:
    """Images of an episode."""
    return [paint(episode, row, size, camera) for row in range(rows)]


def write_dataset(root: Path, spec: DatasetSpec) -> Path:
    """Write the dataset into a new folder."""
    numbers = list(spec.numbers or range(len(spec.lengths)))
    texts = list(dict.fromkeys(spec.tasks))
    tables, videos = [], {camera: [] for camera in (*spec.cameras, *spec.stored)}
    first = 0
    for place, (number, rows) in enumerate(zip(numbers, spec.lengths, strict=True)):
        columns: dict[str, Any] = {
            "action": pa.array(list(vectors(number, rows, spec.joints, 1)), pa.list_(pa.float32())),
            "observation.state": pa.array(list(vectors(number, rows, spec.joints)), pa.list_(pa.float32())),
        }
        for index, camera in enumerate(videos):
            images = pictures(number, rows, spec.sizes[index], index)
            if camera in spec.stored:
                packed = [{"bytes": _png(image), "path": None} for image in images]
                columns[f"observation.images.{camera}"] = pa.array(packed)
            else:
                videos[camera].append(images[: rows - (spec.truncated == number)])
        if spec.extra:
            columns["next.reward"] = pa.array(np.zeros(rows, np.float32))
            columns["note"] = pa.array(["x"] * rows)
        columns |= {
            "timestamp": pa.array((np.arange(rows) / spec.fps).astype(np.float32)),
            "frame_index": pa.array(np.arange(rows)),
            "episode_index": pa.array(np.full(rows, number)),
            "index": pa.array(np.arange(rows) + first),
            "task_index": pa.array(np.full(rows, texts.index(spec.tasks[place % len(spec.tasks)]))),
        }
        tables.append(pa.table(columns))
        first += rows
    episodes = [
        {"episode_index": number, "tasks": [spec.tasks[place % len(spec.tasks)]], "length": rows}
        for place, (number, rows) in enumerate(zip(numbers, spec.lengths, strict=True))
    ]
    write = _write_v30 if spec.version == "v3.0" else _write_v2
    paths = write(root, spec, episodes, texts, tables, videos)
    (root / "meta").mkdir(exist_ok=True)
    (root / "meta/info.json").write_text(json.dumps(_info(spec, episodes, texts) | paths))
    return root


def _write_v2(root, spec, episodes, texts, tables, videos) -> dict[str, Any]:
    names = {
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    }
    for place, episode in enumerate(episodes):
        where = {"episode_chunk": 0, "episode_index": episode["episode_index"]}
        data = root / names["data_path"].format(**where)
        data.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(tables[place], data)
        for camera in spec.cameras:
            path = root / names["video_path"].format(**where, video_key=f"observation.images.{camera}")
            encode(path, videos[camera][place], spec)
    (root / "meta").mkdir()
    _lines(root / "meta/episodes.jsonl", episodes)
    _lines(root / "meta/tasks.jsonl", [{"task_index": index, "task": text} for index, text in enumerate(texts)])
    if spec.version == "v2.0":
        (root / "meta/stats.json").write_text("{}")
    else:
        _lines(
            root / "meta/episodes_stats.jsonl", [{"episode_index": e["episode_index"], "stats": {}} for e in episodes]
        )
    return names


def _write_v30(root, spec, episodes, texts, tables, videos) -> dict[str, Any]:
    """All episodes in one table and one video per camera, as lerobot joins them: each begins with a key frame."""
    names = {
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    for path in (root / "data/chunk-000", root / "meta/episodes/chunk-000"):
        path.mkdir(parents=True)
    with pq.ParquetWriter(root / "data/chunk-000/file-000.parquet", tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    rows, first = [], 0
    for episode in episodes:
        row = dict(episode) | {"data/chunk_index": 0, "data/file_index": 0}
        row |= {"dataset_from_index": first, "dataset_to_index": first + episode["length"]}
        for camera in spec.cameras:
            span = {"chunk_index": 0, "file_index": 0}
            span |= {"from_timestamp": first / spec.fps, "to_timestamp": (first + episode["length"]) / spec.fps}
            row |= {f"videos/observation.images.{camera}/{key}": one for key, one in span.items()}
        rows.append(row)
        first += episode["length"]
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    tasks = pa.table({"task_index": list(range(len(texts))), "task": texts})
    pq.write_table(tasks, root / "meta/tasks.parquet")
    for camera in spec.cameras:
        key = f"observation.images.{camera}"
        join(root / names["video_path"].format(video_key=key, chunk_index=0, file_index=0), videos[camera], spec)
    return names


def encode(path: Path, images: Sequence[np.ndarray], spec: DatasetSpec) -> Path:
    """Encode one video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = images[0].shape[:2]
    options = {"libx264": {"crf": "20", "bf": str(spec.b_frames)}, "libsvtav1": {"crf": "30", "preset": "12"}}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(spec.codec, rate=spec.fps, options=options[spec.codec])
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", spec.gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, spec.fps)
        for count, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, spec.fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def join(path: Path, parts: Sequence[Sequence[np.ndarray]], spec: DatasetSpec) -> None:
    """Encode the parts, and put their packets one after the other as lerobot does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [encode(path.with_name(f"{index}.mp4"), images, spec) for index, images in enumerate(parts)]
    begun = 0
    with av.open(str(files[0])) as first, av.open(str(path), "w") as output:
        target = output.add_stream_from_template(first.streams.video[0], opaque=spec.codec != "libx264")
        for file, images in zip(files, parts, strict=True):
            with av.open(str(file)) as source:
                for packet in source.demux(video=0):
                    if packet.size:
                        shift = round(begun / spec.fps / packet.time_base)
                        packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, target
                        output.mux(packet)
            begun += len(images)
            file.unlink()


def _info(spec: DatasetSpec, episodes, texts) -> dict[str, Any]:
    vector = {"dtype": "float32", "shape": [spec.joints], "names": list(spec.names) if spec.names else None}
    features: dict[str, Any] = {"action": vector, "observation.state": vector}
    for index, camera in enumerate((*spec.cameras, *spec.stored)):
        width, height = spec.sizes[index]
        features[f"observation.images.{camera}"] = {
            "dtype": "image" if camera in spec.stored else "video",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
    if spec.extra:
        features["next.reward"] = {"dtype": "float32", "shape": [1], "names": None}
        features["note"] = {"dtype": "string", "shape": [1], "names": None}
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        dtype = "float32" if name == "timestamp" else "int64"
        features[name] = {"dtype": dtype, "shape": [1], "names": None}
    return {
        "codebase_version": spec.version,
        "robot_type": spec.robot_type,
        "total_episodes": len(episodes),
        "total_frames": sum(episode["length"] for episode in episodes),
        "total_tasks": len(texts),
        "total_videos": len(episodes) * len(spec.cameras),
        "total_chunks": 1,
        "chunks_size": 1000,
        "fps": spec.fps,
        "splits": {"train": f"0:{len(episodes)}"},
        "features": features,
    }


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _lines(path: Path, lines: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
