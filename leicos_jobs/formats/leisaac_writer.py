"""Writing LeIsaac's HDF5 as its streaming recorder does: lzf, chunks of 100 rows, extensible (docs/decisions/leisaac.md
2). What is in a demo is said in `leisaac_hdf5`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
Tables = Mapping[str, NDArray[Any]]
"""Path below the demo's group -> (rows, width)."""

CHUNK = 100
"""Rows per chunk, as LeIsaac's streaming handler."""


def write_tables(group: h5py.Group, tables: Tables) -> None:
    """Add tables to a demo's group."""
    for name, values in tables.items():
        _dataset(group, name, values.shape[1:], values.dtype, len(values))[...] = values


def write_pictures(group: h5py.Group, camera: str, rows: int, pictures: Iterable[U8]) -> None:
    """Add a camera's (H, W, 3) uint8 RGB pictures, one per row, to a demo's group. Whole chunks are written, so that
    each is compressed once. Raises ValueError if there are fewer or more than `rows`."""
    table: h5py.Dataset | None = None
    block = np.empty(0, dtype=np.uint8)
    for row, picture in enumerate(pictures):
        if table is None:
            table = _dataset(group, f"obs/{camera}", picture.shape, np.dtype(np.uint8), rows)
            block = np.empty((CHUNK, *picture.shape), dtype=np.uint8)
        block[row % CHUNK] = picture
        if row % CHUNK == CHUNK - 1 or row == rows - 1:
            table[row - row % CHUNK : row + 1] = block[: row % CHUNK + 1]
    if table is None or row != rows - 1:
        raise ValueError(f"obs/{camera} does not have {rows} pictures")


def describe_demo(group: h5py.Group, rows: int, success: bool | None, seed: int | None = None) -> None:
    """Write a demo's attributes. success: None leaves the mark out, as in an interrupted recording."""
    group.attrs["num_samples"] = rows
    if seed is not None:
        group.attrs["seed"] = seed
    if success is not None:
        group.attrs["success"] = success


def describe_file(data: h5py.Group, rows: int, env_args: Mapping[str, Any]) -> None:
    """Write the attributes of `data`. rows: of all demos; env_args: see `leisaac_hdf5.Recording`."""
    data.attrs["total"] = rows
    data.attrs["env_args"] = json.dumps(env_args)


def _dataset(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], rows: int) -> h5py.Dataset:
    return group.create_dataset(
        name, (rows, *shape), dtype, maxshape=(None, *shape), chunks=(CHUNK, *shape), compression="lzf"
    )
