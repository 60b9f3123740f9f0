"""Tiny LeIsaac recordings, written from docs/decisions/leisaac.md 2 alone: nothing here imports leicos_jobs.

Every image carries its demo number and image number as a pattern of black and white cells that survives H.264, and
every table value can be computed from demo, row and joint, so that a test can say which row a frame or number is from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

WIDTH, HEIGHT = 64, 48
BITS = 8

# LeIsaac source/leisaac/leisaac/assets/robots/lerobot.py, as docs/decisions/leisaac.md 3.1 quotes it
USD_LIMITS = [(-110, 110), (-100, 100), (-100, 90), (-95, 95), (-160, 160), (-10, 100)]
MOTOR_LIMITS = [(-100, 100)] * 5 + [(0, 100)]


@dataclass
class DemoSpec:
    """One demo. success None: no mark. cut: drop that many rows of states, as an interruption does. step_at: rows at
    which the camera falls out of step by one row. nan: (table, row, joint). omit: datasets to leave out."""

    rows: int = 40
    success: bool | None = True
    phase: int = 0
    stride: int = 2
    width: int = 6
    cameras: Sequence[str] = ("front",)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    compression: str | None = "lzf"
    chunk_rows: int | None = 100
    cut: int = 0
    step_at: Sequence[int] = ()
    frozen: Sequence[int] = ()
    nan: tuple[str, int, int] | None = None
    omit: Sequence[str] = ()
    seed: int | None = 7
    number: int | None = None
    images: np.ndarray | None = field(default=None, repr=False)


def image_numbers(spec: DemoSpec) -> list[int]:
    """Which image each row shows."""
    numbers, shift = [], 0
    for row in range(spec.rows):
        shift += row in spec.step_at
        changed = row > 0 and (row - spec.phase + shift) % spec.stride == 0 and row not in spec.frozen
        numbers.append((numbers[-1] if numbers else 0) + changed)
    return numbers


def paint(demo: int, image: int, size: tuple[int, int] = (WIDTH, HEIGHT), camera: int = 0) -> np.ndarray:
    """An image that says (demo, image): two rows of eight cells, tinted by camera."""
    width, height = size
    picture = np.full((height, width, 3), 20, np.uint8)
    for line, number in enumerate((demo, image)):
        for bit in range(BITS):
            if number >> bit & 1:
                top, left = line * height // 2, bit * width // BITS
                picture[top : top + height // 2, left : left + width // BITS] = 235
    picture[..., 2] = np.clip(picture[..., 2].astype(int) - 15 * camera, 0, 255)
    return picture


def read_code(picture: np.ndarray) -> tuple[int, int]:
    """(demo, image) that a decoded image shows."""
    height, width = picture.shape[:2]
    codes = []
    for line in range(2):
        band = picture[line * height // 2 : (line + 1) * height // 2, :, 0]
        cells = [band[6:-6, bit * width // BITS + 2 : (bit + 1) * width // BITS - 2].mean() for bit in range(BITS)]
        codes.append(sum(1 << bit for bit, mean in enumerate(cells) if mean > 128))
    return codes[0], codes[1]


def action(demo: int, row: int, joint: int) -> float:
    """Joint target in radians."""
    return float(np.float32(0.005 * row - 0.05 * joint + 0.001 * demo))


def joint(demo: int, row: int, joint_index: int) -> float:
    """Joint position in radians before the row's action."""
    return float(np.float32(0.005 * (row - 1) - 0.05 * joint_index + 0.001 * demo + 0.0001))


def motor(radians: float, joint_index: int) -> float:
    """LeIsaac's conversion to motor units, written out again."""
    (low, high), (motor_low, motor_high) = USD_LIMITS[joint_index], MOTOR_LIMITS[joint_index]
    return (radians / np.pi * 180.0 - low) / (high - low) * (motor_high - motor_low) + motor_low


def tables(demo: int, spec: DemoSpec) -> dict[str, np.ndarray]:
    """All tables of a demo but images and initial_state."""
    rows, width = spec.rows, spec.width
    actions = np.array([[action(demo, t, j) for j in range(width)] for t in range(rows)], np.float32)
    actions = actions.reshape(rows, width)
    joints = np.array([[joint(demo, t, j) for j in range(6)] for t in range(rows + 1)], np.float32)
    after = rows - spec.cut
    cube = np.array([[0.1 * demo, 0.001 * t, 0.015, 1, 0, 0, 0] for t in range(1, after + 1)], np.float32)
    found = {
        "actions": actions,
        "processed_actions": actions[:after],
        "obs/joint_pos": joints[:rows],
        "obs/joint_vel": np.zeros((rows, 6), np.float32),
        "obs/actions": np.vstack([np.zeros((1, width), np.float32), actions])[:rows],
        "obs/ee_frame_state": np.zeros((rows, 7), np.float32),
        "states/articulation/robot/joint_position": joints[1 : after + 1],
        "states/articulation/robot/joint_velocity": np.zeros((after, 6), np.float32),
        "states/articulation/robot/root_pose": np.tile(np.float32([0.35, -0.64, 0.01, 0, 0, 0, 1]), (after, 1)),
        "states/rigid_object/cube/root_pose": cube.reshape(after, 7),
    }
    if spec.nan is not None:
        table, row, column = spec.nan
        found[table][row, column] = np.nan
    return found


def write_demo(group: h5py.Group, demo: int, spec: DemoSpec) -> None:
    """Fill `/data/demo_<i>`."""
    number = demo if spec.number is None else spec.number
    contents: dict[str, np.ndarray] = tables(number, spec)
    for index, camera in enumerate(spec.cameras):
        pictures = [paint(number, image, spec.size, index) for image in image_numbers(spec)]
        shape = (0, spec.size[1], spec.size[0], 3)
        contents[f"obs/{camera}"] = np.array(pictures, np.uint8) if pictures else np.zeros(shape, np.uint8)
    if spec.images is not None:
        contents["obs/front"] = spec.images
    initial = {
        "articulation/robot/joint_position": np.float32([[joint(number, 0, j) for j in range(6)]]),
        "articulation/robot/root_pose": np.float32([[0.35, -0.64, 0.01, 0, 0, 0, 1]]),
        "rigid_object/cube/root_pose": np.float32([[0.1 * number, 0, 0.015, 1, 0, 0, 0]]),
    }
    contents |= {f"initial_state/{path}": table for path, table in initial.items()}
    for path, table in contents.items():
        if not any(path == name or path.startswith(f"{name}/") for name in spec.omit):
            chunks: Any = (spec.chunk_rows, *table.shape[1:]) if spec.chunk_rows else None
            grows = (None, *table.shape[1:]) if chunks else None
            packed = spec.compression if chunks or spec.compression == "gzip" else None
            group.create_dataset(path, data=table, chunks=chunks, maxshape=grows, compression=packed)
    group.attrs["num_samples"] = spec.rows
    if spec.seed is not None:
        group.attrs["seed"] = spec.seed
    if spec.success is not None:
        group.attrs["success"] = spec.success


def write_recording(
    path: Path, specs: Sequence[DemoSpec], *, sim: tuple[float, int] | None = None, first: int = 0
) -> Path:
    """Write a file with demo_<first>, demo_<first + 1>, ... sim: (dt, decimation) for env_args, as Isaac Lab writes."""
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        arguments: dict[str, Any] = {"env_name": "", "type": 2}
        if sim:
            arguments["sim_args"] = {"dt": sim[0], "decimation": sim[1], "render_interval": 1, "num_envs": 1}
        data.attrs["env_args"] = json.dumps(arguments)
        data.attrs["total"] = sum(spec.rows for spec in specs)
        for index, spec in enumerate(specs, start=first):
            write_demo(data.create_group(f"demo_{index}"), index, spec)
    return path
