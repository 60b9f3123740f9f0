"""Camera images of a demo, a block of whole HDF5 chunks at a time into one reused buffer.

Reading row by row decompresses a 92 MB chunk for every row and is a hundred times slower; a fresh array for every
block spends half of the time on page faults (reference/cpu_baseline.md 3a).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

BLOCK_ROWS = 100
"""LeIsaac's chunk length."""

BLOCK_BYTES = 128 << 20
CHUNK_BYTES = 192 << 20
"""HDF5 holds a chunk twice while it decompresses it; larger ones would break the promise of 600 MiB a process."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_large_blocks() -> None:
    """Tell glibc to keep HDF5's chunk buffers instead of returning them after each read: 1.3 to 1.5 times faster.

    For processes that read images and little else; elsewhere than on glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def is_camera(item: object) -> bool:
    """Whether an HDF5 object is a camera: uint8 (T, H, W, 3)."""
    return isinstance(item, h5py.Dataset) and item.dtype == np.uint8 and item.ndim == 4 and item.shape[3] == 3


def chunk_bytes(dataset: h5py.Dataset) -> int:
    """Bytes of one decompressed chunk, 0 if it is stored in one piece."""
    return int(np.prod(dataset.chunks)) if dataset.chunks else 0


def block_rows(dataset: h5py.Dataset) -> int:
    """Rows to read at a time: whole chunks, about 100 rows, at most BLOCK_BYTES unless one chunk is more."""
    row = max(1, int(np.prod(dataset.shape[1:])))
    wanted = max(1, min(BLOCK_ROWS, BLOCK_BYTES // row))
    chunk = int(dataset.chunks[0]) if dataset.chunks else 1
    return max(chunk, wanted // chunk * chunk)


def read_blocks(dataset: h5py.Dataset, rows: int, buffer: U8 | None = None) -> Iterator[tuple[int, U8]]:
    """Yield (first row, images (m, H, W, 3)) over the first `rows` rows. The array is reused: copy what must last.

    buffer: (at least block_rows, H, W, 3) to use instead of a new one. Raises OSError where the file is damaged.
    """
    step = block_rows(dataset)
    if buffer is None:
        buffer = np.empty((min(step, max(rows, 1)), *dataset.shape[1:]), dtype=np.uint8)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        dataset.read_direct(buffer, np.s_[start:stop], np.s_[: stop - start])
        yield start, buffer[: stop - start]


def read_rows(dataset: h5py.Dataset, rows: Sequence[int]) -> Iterator[U8]:
    """Yield a copy of the image at each of the ascending `rows`; each block is read once, blocks without rows never."""
    step = block_rows(dataset)
    buffer = np.empty((min(step, dataset.shape[0]), *dataset.shape[1:]), dtype=np.uint8)
    loaded = -1
    for row in rows:
        start = row - row % step
        if start != loaded:
            stop = min(start + step, dataset.shape[0])
            dataset.read_direct(buffer, np.s_[start:stop], np.s_[: stop - start])
            loaded = start
        yield buffer[row - start].copy()


class ChangeFinder:
    """Finds the rows whose image differs from the row before, block after block."""

    def __init__(self) -> None:
        self.changes: list[int] = []
        self._last: U8 | None = None

    def feed(self, start: int, block: U8) -> None:
        """Look at the images of rows start, start+1, ... and keep the last one for the next block."""
        flat = _words(block)
        if self._last is not None and not np.array_equal(_words(self._last[None])[0], flat[0]):
            self.changes.append(start)
        for index in range(1, len(block)):
            if not np.array_equal(flat[index], flat[index - 1]):
                self.changes.append(start + index)
        if self._last is None:
            self._last = np.empty_like(block[-1])
        np.copyto(self._last, block[-1])


def _words(block: U8) -> NDArray[np.generic]:
    """(m, n) view of images as 8-byte words where the size allows: comparing them is three times faster."""
    flat = block.reshape(len(block), -1)
    return flat.view(np.uint64) if flat.shape[1] % 8 == 0 else flat


def find_changes(dataset: h5py.Dataset, rows: int) -> list[int]:
    """Rows (ascending, never 0) whose image differs from the row before, over the first `rows` rows."""
    finder = ChangeFinder()
    for start, block in read_blocks(dataset, rows):
        finder.feed(start, block)
    return finder.changes
