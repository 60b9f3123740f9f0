"""Material of the benchmark: a checkpoint with random weights, H.264 videos, and datasets as upstream reads them."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "backends")]

import gr00t_small  # noqa: E402

from leicos_jobs.backends.gr00t_dreams.artifact import Description, publish  # noqa: E402
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101  # noqa: E402
from leicos_jobs.formats import lerobot_layout as layout  # noqa: E402
from leicos_jobs.formats.gr00t import modality  # noqa: E402
from leicos_jobs.formats.lerobot_v21 import DATA_PATH, VERSION, VIDEO_PATH  # noqa: E402
from leicos_jobs.media.encode import write_video  # noqa: E402
from leicos_jobs.media.probe import probe  # noqa: E402

WIDTH, HEIGHT, FRAMES, FPS = 640, 480, 210, 16
SIGLIP = "google/siglip2-large-patch16-256"


def scene(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Textured background, moving shapes, sensor-like noise: (frames, 480, 640, 3) uint8."""
    rng = np.random.default_rng(seed)
    base = rng.integers(30, 220, (HEIGHT // 16, WIDTH // 16, 3)).repeat(16, 0).repeat(16, 1)
    base = base + rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    noise = rng.normal(0, 2, (4, HEIGHT, WIDTH, 1))
    shapes = rng.uniform(0, 1, (5, 5))
    out = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for k in range(frames):
        image = base + noise[k % 4]
        for x, y, dx, dy, colour in shapes:
            left = int((x + 0.5 * np.sin(k / 20 + 6 * dx)) % 1 * (WIDTH - 80))
            top = int((y + 0.5 * np.sin(k / 25 + 6 * dy)) % 1 * (HEIGHT - 80))
            image[top : top + 80, left : left + 80] = 255 * np.array([colour, 1 - colour, colour / 2])
        out[k] = image.clip(0, 255).astype(np.uint8)
    return out


def _video(job: tuple[str, int, int]) -> None:
    path, seed, frames = job
    write_video(Path(path), scene(seed, frames), FPS, crf=23, preset="medium", gop=250)


def videos(folder: Path, count: int, distinct: int, workers: int, frames: int = FRAMES) -> list[Path]:
    """`count` files, `distinct` of them different, the rest links to those."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{k:03d}.mp4" for k in range(count)]
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(_video, [(str(path), seed, frames) for seed, path in enumerate(paths[:distinct])]))
    for k in range(distinct, count):
        paths[k].unlink(missing_ok=True)  # of an earlier run
        paths[k].hardlink_to(paths[k % distinct])
    return paths


def checkpoint(folder: Path, device: str) -> Description:
    """Upstream's checkpoint with random weights in folder/checkpoint, the artifact made of it in folder/artifact."""
    weights = gr00t_small.random_weights(gr00t_small.FULL, 0, device)
    gr00t_small.write_checkpoint(folder / "checkpoint", SIGLIP, gr00t_small.FULL, weights, (WIDTH, HEIGHT), float(FPS))
    return publish(
        folder / "checkpoint", folder / "artifact", SO101, "front", stats=gr00t_small.stats(),
        geometry=(WIDTH, HEIGHT), fps=float(FPS), facts={"weights": "random"},
    )  # fmt: skip


def dataset(folder: Path, paths: list[Path], *, moving: bool = False) -> Path:
    """A LeRobot v2.1 folder named so101.data around the videos. Actions are zeros, as upstream's converter leaves
    them, or with `moving` smooth random ones to train on."""
    root = folder / "so101.data"
    (root / "meta").mkdir(parents=True)
    rng, lengths = np.random.default_rng(0), []
    for number, path in enumerate(paths):
        info = probe(path)
        lengths.append(info.frames)
        actions = np.zeros((info.frames, SO101.action.width), np.float32)
        if moving:
            waves = np.sin(np.arange(info.frames)[:, None] / 15 + rng.uniform(0, 6, SO101.action.width))
            actions = (40 * waves).astype(np.float32) + np.float32(45)
        columns = layout.columns(
            actions, actions, Fraction(FPS), episode_index=number, first_index=sum(lengths[:-1]), task_index=0
        )
        names = {"episode_chunk": 0, "episode_index": number}
        target = root / DATA_PATH.format(**names)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(layout.table(columns), target)
        video = root / VIDEO_PATH.format(**names, video_key=layout.IMAGES + "front")
        video.parent.mkdir(parents=True, exist_ok=True)
        video.symlink_to(path)
    lines = [{"episode_index": k, "tasks": ["move"], "length": length} for k, length in enumerate(lengths)]
    (root / "meta" / "episodes.jsonl").write_text("".join(map(layout.json_line, lines)))
    (root / "meta" / "tasks.jsonl").write_text(layout.json_line({"task_index": 0, "task": "move"}))
    layout.write_json(root / "meta" / "modality.json", modality(SO101, ("front",)))
    layout.write_json(root / "meta" / "stats.json", gr00t_small.stats())
    names = {layout.ACTION: SO101.action.feature_names, layout.STATE: SO101.state.feature_names}
    found = layout.features(names, {"front": probe(paths[0])}, Fraction(FPS))
    info_json = {
        "codebase_version": VERSION, "robot_type": SO101.robot_type, "total_episodes": len(lengths),
        "total_frames": sum(lengths), "total_tasks": 1, "total_videos": len(lengths), "total_chunks": 1,
        "chunks_size": 1000, "fps": FPS, "splits": {"train": f"0:{len(lengths)}"}, "data_path": DATA_PATH,
        "video_path": VIDEO_PATH, "features": found,
    }  # fmt: skip
    layout.write_json(root / "meta" / "info.json", info_json)
    return root


def described(folder: Path) -> str:
    """One line for the log."""
    return json.dumps({path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()})
