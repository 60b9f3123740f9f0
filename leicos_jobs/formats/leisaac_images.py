"""Camera images of a demo, a block of whole HDF5 chunks at a time into one reused buffer.

Reading row by row decompresses a 92 MB chunk for every row and is a hundred times slower; a fresh array for every
block spends half of the time on page faults (docs/decisions/cpu_baseline.md 3.1).
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import sys
from collections.abc import Iterator, Sequence

import h5py
import imagecodecs
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

BLOCK_ROWS = 100
"""LeIsaac's chunk length."""

BLOCK_BYTES = 128 << 20
CHUNK_BYTES = 160 << 20
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
    return math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0


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
    reader = BlockReader(dataset, buffer)
    for start in range(0, rows, reader.rows):
        yield start, reader.read(start)[: rows - start]


def read_rows(dataset: h5py.Dataset, rows: Sequence[int]) -> Iterator[U8]:
    """Yield a copy of the image at each of the ascending `rows`; each block is read once, blocks without rows never."""
    reader = BlockReader(dataset)
    begin, block = -1, reader.buffer
    for row in rows:
        start = row - row % reader.rows
        if start != begin:
            begin, block = start, reader.read(start)
        yield block[row - start].copy()


class BlockReader:
    """Reads blocks of `rows` rows into one `buffer`.

    Chunks of whole images under lzf, LeIsaac's own way, are decompressed by imagecodecs, which takes a third of the
    time of HDF5's filter; everything else, and every chunk in which something is odd, is left to HDF5.
    """

    def __init__(self, dataset: h5py.Dataset, buffer: U8 | None = None) -> None:
        self.rows = block_rows(dataset)
        self.buffer = np.empty((self.rows, *dataset.shape[1:]), np.uint8) if buffer is None else buffer
        self._dataset = dataset
        self._lzf = _only_lzf(dataset)

    def read(self, start: int) -> U8:
        """Images from row `start`, the first of a block, to the block's or the dataset's end; valid until the next
        call. Raises OSError where the file is damaged."""
        stop = min(start + self.rows, self._dataset.shape[0])
        if not (self._lzf and self._read_lzf(start, stop)):
            self._dataset.read_direct(self.buffer, np.s_[start:stop], np.s_[: stop - start])
        return self.buffer[: stop - start]

    def _read_lzf(self, start: int, stop: int) -> bool:
        length = self._dataset.chunks[0]
        for row in range(start, stop, length):
            images = self.buffer[row - start : row - start + length]
            try:
                unfiltered, packed = self._dataset.id.read_direct_chunk((row, 0, 0, 0))
                if unfiltered or len(imagecodecs.lzf_decode(packed, out=images.data.cast("B"))) != images.size:
                    return False
            except (OSError, RuntimeError, ValueError):  # never written, or damaged: HDF5 knows what to do or to say
                return False
        return True


def _only_lzf(dataset: h5py.Dataset) -> bool:
    """Whether the dataset is stored in chunks of whole images that went through h5py's lzf filter and nothing else."""
    filters = dataset.id.get_create_plist()
    single = filters.get_nfilters() == 1 and filters.get_filter(0)[0] == h5py.h5z.FILTER_LZF
    return single and dataset.chunks is not None and dataset.chunks[1:] == dataset.shape[1:]


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


def image_digest(image: U8) -> str:
    """Digest of one image, (H, W, 3) uint8: 64 bits tell a demo's images from another's."""
    return hashlib.sha256(image.tobytes()).hexdigest()[:16]
