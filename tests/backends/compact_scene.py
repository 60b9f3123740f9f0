"""A tiny world for the compact IDM's tests: three squares whose places are the six joints, as a LeRobot folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.formats import lerobot_layout as layout
from leicos_jobs.formats.lerobot_v21 import DATA_PATH, VIDEO_PATH
from leicos_jobs.media.encode import write_video
from leicos_jobs.robots.embodiment import embodiment

F32 = NDArray[np.float32]
WIDTH, HEIGHT, FPS = 96, 72, 30
COLOURS = ((220, 40, 40), (40, 200, 60), (60, 80, 230))


def motion(rng: np.random.Generator, rows: int) -> tuple[F32, F32]:
    """Smooth states and the actions that lead them by about a row, (rows, 6) motor units each."""
    knots = rng.uniform(-60, 60, (4, 6))
    knots[:, 5] = rng.uniform(10, 90, 4)
    place = np.linspace(0, 3, rows + 1)
    path = np.stack([np.interp(place, np.arange(4), knots[:, joint]) for joint in range(6)], axis=1)
    smooth = np.stack(
        [np.convolve(np.pad(path[:, j], 4, mode="edge"), np.ones(9) / 9, "valid") for j in range(6)], axis=1
    )
    return smooth[1:].astype(np.float32), smooth[:-1].astype(np.float32)


def picture(state: F32, size: tuple[int, int] = (WIDTH, HEIGHT)) -> NDArray[np.uint8]:
    """Joint pairs (0, 1), (2, 3), (4, 5) are the x and y of the red, the green and the blue square."""
    width, height = size
    image = np.full((height, width, 3), 90, dtype=np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    low = np.array([-100, -100, -100, -100, -100, 0])
    share = (state - low) / (100 - low)
    for index, colour in enumerate(COLOURS):
        centre_x = (0.1 + 0.8 * share[2 * index]) * width
        centre_y = (0.1 + 0.8 * share[2 * index + 1]) * height
        far = np.maximum(np.abs(x - centre_x), np.abs(y - centre_y))
        cover = np.clip(6.5 - far, 0, 1)[..., None]
        image = image * (1 - cover) + np.array(colour, dtype=np.float32) * cover
    return image.round().astype(np.uint8)


def make_video(path: Path, states: F32, size: tuple[int, int] = (WIDTH, HEIGHT), fps: float = FPS) -> Path:
    """H.264 of a sequence of states."""
    write_video(path, (picture(state, size) for state in states), fps, crf=18)
    return path


def make_dataset(root: Path, episodes: int, rows: int = 48, seed: int = 0) -> Path:
    """A LeRobot v2.1 folder with as much of it as training reads."""
    rng, lines = np.random.default_rng(seed), []
    data, videos = root / "data/chunk-000", root / "videos/chunk-000/observation.images.front"
    for folder in (data, videos, root / "meta"):
        folder.mkdir(parents=True)
    for episode in range(episodes):
        actions, states = motion(rng, rows + episode % 3)
        kind = pa.list_(pa.float32(), 6)
        columns = {"action": pa.array(list(actions), kind), "observation.state": pa.array(list(states), kind)}
        columns |= {"timestamp": pa.array(np.arange(len(actions), dtype=np.float32) / FPS)}
        zeros = pa.array(np.zeros(len(actions), dtype=np.int64))
        table = pa.table(columns | dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), zeros))
        lines.append({"episode_index": episode, "tasks": ["squares"], "length": len(actions)})
        pq.write_table(table, data / f"episode_{episode:06d}.parquet")
        make_video(videos / f"episode_{episode:06d}.mp4", states)
    feature = {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": [6], "names": embodiment("so101").action.feature_names}
    scalars = {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in layout.SCALARS.items()}
    features = {"action": vector, "observation.state": vector, "observation.images.front": feature, **scalars}
    info = {"codebase_version": "v2.1", "fps": FPS, "total_episodes": episodes, "features": features}
    info |= {"data_path": DATA_PATH, "video_path": VIDEO_PATH, "chunks_size": 1000, "total_tasks": 1}
    info |= {"total_frames": sum(line["length"] for line in lines), "robot_type": "so101"}
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "squares"}))
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root
