"""A tiny world for the compact IDM's tests: three squares whose places are the six joints, as a LeRobot folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from leicos_jobs.media.encode import write_video

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
    rng = np.random.default_rng(seed)
    data, videos = root / "data/chunk-000", root / "videos/chunk-000/observation.images.front"
    for folder in (data, videos, root / "meta"):
        folder.mkdir(parents=True)
    for episode in range(episodes):
        actions, states = motion(rng, rows + episode % 3)
        kind = pa.list_(pa.float32(), 6)
        table = pa.table({"action": pa.array(list(actions), kind), "observation.state": pa.array(list(states), kind)})
        pq.write_table(table, data / f"episode_{episode:06d}.parquet")
        make_video(videos / f"episode_{episode:06d}.mp4", states)
    feature = {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": ["height", "width", "channels"]}
    info = {"fps": FPS, "total_episodes": episodes, "features": {"observation.images.front": feature}}
    (root / "meta/info.json").write_text(json.dumps(info))
    return root
