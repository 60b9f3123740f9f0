"""Recordings for the conversion benchmark: LeIsaac's layout, every image in two rows, two textures.

soft: gradients, soft texture, a moving arm and cube, light grain that defeats lzf. detail: the same scene with sharp
edges, stripes, a checkerboard and fixed noise, no grain. Both are synthetic: rates and decibels are comparable between
settings, not with a real camera. The amplitudes are chosen so that soft costs what the texture of that name costs in
docs/decisions/cpu_baseline.md 1: about 0.90 of its size under lzf, 370 kB as PNG, 1.9 kB per row by x264 (medium, crf
30, g 2).
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

WIDTH, HEIGHT = 640, 480


def _smooth(random: np.random.Generator, cells: int, amount: float) -> np.ndarray:
    """Low-frequency noise (HEIGHT, WIDTH): a coarse grid, stretched linearly."""
    coarse = random.normal(0, amount, (cells + 1, cells + 1))
    rows, columns = np.linspace(0, cells, HEIGHT), np.linspace(0, cells, WIDTH)
    middle = np.array([np.interp(columns, np.arange(cells + 1), line) for line in coarse])
    return np.array([np.interp(rows, np.arange(cells + 1), middle[:, x]) for x in range(WIDTH)]).T


def _background(texture: str, random: np.random.Generator) -> np.ndarray:
    picture = np.empty((HEIGHT, WIDTH, 3), np.float32)
    for channel, (left, right) in enumerate(((90, 150), (100, 140), (110, 170))):
        picture[..., channel] = np.linspace(left, right, WIDTH)[None] + np.linspace(-20, 25, HEIGHT)[:, None]
        picture[..., channel] += _smooth(random, 12, 6) + _smooth(random, 60, 3.5) + _smooth(random, 150, 1.5)
    if texture == "detail":
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        picture[((x // 8 + y // 8) % 2 == 0) & (x < 220) & (y > 240)] = 235
        picture[(x % 6 < 2) & (x > 420) & (y < 200)] = 30
        picture += (random.uniform(-22, 22, (HEIGHT, WIDTH, 1)) * ((y > 250) | (y < 130))[..., None]).astype(np.float32)
    return picture


def _draw(picture: np.ndarray, time: float) -> None:
    """Arm (three thick lines) and cube at `time` in 0..1."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    joint = np.array([320.0, 470.0])
    for length, angle, shade in (
        (150, -1.9 + 0.6 * np.sin(3 * time), 210),
        (140, -0.9 + 0.9 * np.sin(4 * time + 1), 190),
        (80, 0.3 + np.sin(6 * time), 170),
    ):
        tip = joint + length * np.array([np.cos(angle), np.sin(angle)])
        along = np.clip(((x - joint[0]) * (tip - joint)[0] + (y - joint[1]) * (tip - joint)[1]) / length**2, 0, 1)
        away = np.hypot(x - joint[0] - along * (tip - joint)[0], y - joint[1] - along * (tip - joint)[1])
        picture[away < 14] = (shade, shade * 0.8, 40)
        joint = tip
    left, top = int(150 + 180 * time), int(380 - 120 * time)
    picture[top : top + 36, left : left + 36] = (200, 40, 45)


def images(texture: str, count: int, seed: int) -> np.ndarray:
    """`count` different images, (count, HEIGHT, WIDTH, 3) uint8."""
    random = np.random.default_rng(seed)
    background = _background(texture, random)
    video = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    for index in range(count):
        picture = background.copy()
        _draw(picture, index / count)
        if texture == "soft":
            picture += random.normal(0, 1.4, (HEIGHT, WIDTH, 1)).astype(np.float32)  # brightness
            picture += random.normal(0, 0.3, picture.shape).astype(np.float32)  # and a little colour
        video[index] = np.clip(picture, 0, 255)
    return video


def write_recording(path: Path, texture: str, demos: int, rows: int) -> Path:
    """A file of successful demos, images twice in a row, lzf, chunks of 100 rows; written once, then kept."""
    if path.exists():
        return path
    part = path.with_suffix(".part")
    shown = np.repeat(images(texture, (rows + 1) // 2, 0), 2, axis=0)[:rows]
    with h5py.File(part, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "", "type": 2})
        for number in range(demos):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["success"] = True
            demo.attrs["num_samples"] = rows
            low = np.cumsum(np.random.default_rng(number).normal(0, 0.01, (rows, 6)), axis=0).astype(np.float32)
            tables = {"actions": low, "obs/joint_pos": low, "states/articulation/robot/joint_position": low}
            tables |= {"states/rigid_object/cube/root_pose": np.zeros((rows, 7), np.float32)}
            # shifted sideways: other bytes for the codec and lzf at a fraction of the time that drawing takes
            tables |= {"obs/front": np.roll(shown, 16 * number, axis=2)}
            for name, table in tables.items():
                kept = {"chunks": (100, *table.shape[1:]), "maxshape": (None, *table.shape[1:]), "compression": "lzf"}
                demo.create_dataset(name, data=table, **kept)
            demo["initial_state/articulation/robot/joint_position"] = low[:1]
    part.replace(path)
    return path
