"""One decoder process: video files in, yuv420p planes in shared memory out. Started by `decode_pool`, not by hand.

A process of its own because decoding in threads shares the interpreter's lock with the one that feeds the GPU. Requests
and events are JSON lines on stdin and stdout; pictures go through memory that the parent made. It ends when stdin does.

    python -m leicos_jobs.backends.gr00t_dreams.decode_worker DESCRIPTOR OFFSET SLOTS SLOT_BYTES
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from leicos_jobs.core.errors import LeicosError
from leicos_jobs.media.decode import decode_frames
from leicos_jobs.media.probe import probe

U8 = NDArray[np.uint8]
_DIRECT_SPACES = {int(Colorspace.ITU601), int(Colorspace.DEFAULT), 2, 6}
"""Unspecified and BT.601 pictures are taken as they are; others are converted to BT.601."""


def copy_planes(frame: av.VideoFrame, out: U8, reformatter: VideoReformatter) -> None:
    """Write a decoded picture as yuv420p, limited range, BT.601, into `out` (height * 3 / 2 * width) uint8."""
    if (
        frame.format.name != "yuv420p"
        or int(frame.color_range) == int(ColorRange.JPEG)
        or int(frame.colorspace) not in _DIRECT_SPACES
    ):
        frame = reformatter.reformat(
            frame, format="yuv420p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.MPEG, threads=1
        )
    at = 0
    for plane, divisor in zip(frame.planes, (1, 2, 2), strict=True):
        wide, tall = frame.width // divisor, frame.height // divisor
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
        out[at : at + wide * tall].reshape(tall, wide)[:] = rows[:tall, :wide]
        at += wide * tall


class _Worker:
    def __init__(self, shared: U8, commands: IO[str], events: IO[str]) -> None:
        self.shared = shared
        self.commands = commands
        self.events = events
        self.free = set(range(len(shared)))

    def serve(self) -> None:
        """Decode one file after the other until stdin ends."""
        while (command := self._next()) is not None:
            if "path" in command:
                try:
                    self._decode(Path(command["path"]))
                except LeicosError as error:
                    self._say(event="failed", message=error.message, fix=error.fix)

    def _next(self) -> dict[str, Any] | None:
        line = self.commands.readline()
        if not line:
            return None
        command: dict[str, Any] = json.loads(line)
        if "free" in command:
            self.free.add(int(command["free"]))
        return command

    def _say(self, **event: Any) -> None:
        self.events.write(json.dumps(event) + "\n")
        self.events.flush()

    def _decode(self, path: Path) -> None:
        info = probe(path)
        size = info.width * info.height * 3 // 2
        room = self.shared.shape[1] // size if size else 0
        self._say(event="opened", frames=info.frames, width=info.width, height=info.height, fps=float(info.fps),
                  fits=bool(room) and info.width % 2 == 0 and info.height % 2 == 0)  # fmt: skip
        if not room or info.width % 2 or info.height % 2:
            return
        done = 0
        for slot, count in self._chunks(path, size, room):
            self._say(event="chunk", slot=slot, first=done, count=count)
            done += count
        self._say(event="closed", frames=done)

    def _chunks(self, path: Path, size: int, room: int) -> Iterator[tuple[int, int]]:
        reformatter, slot, count = VideoReformatter(), -1, 0
        for frame in decode_frames(path):
            if slot < 0:
                slot = self._slot()
            copy_planes(frame, self.shared[slot, count * size : (count + 1) * size], reformatter)
            count += 1
            if count == room:
                yield slot, count
                slot, count = -1, 0
        if count:
            yield slot, count

    def _slot(self) -> int:
        while not self.free:
            if self._next() is None:
                raise SystemExit(0)
        return self.free.pop()


def main() -> None:
    """Entry point, see the module's docstring."""
    descriptor, offset, slots, slot_bytes = (int(text) for text in sys.argv[1:5])
    memory = mmap.mmap(descriptor, slots * slot_bytes, offset=offset)
    shared = np.frombuffer(memory, dtype=np.uint8).reshape(slots, slot_bytes)
    _Worker(shared, sys.stdin, sys.stdout).serve()


if __name__ == "__main__":
    main()
