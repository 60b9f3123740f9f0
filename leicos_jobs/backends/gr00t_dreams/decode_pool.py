"""Several videos decoded at once, by processes that write pictures into shared memory. Knows nothing of any model.

The memory is anonymous (memfd), so a pod's 64 MB of /dev/shm does not bound it; one who copies from it to a GPU may
pin it. Videos are started in the order given; chunks of one video come in order, chunks of different videos as they
are ready. A decoder waits when all its slots are in use, so nothing runs ahead of the reader.
"""

from __future__ import annotations

import json
import mmap
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError, InputError

U8 = NDArray[np.uint8]
SLOTS = 3
"""Chunks that a decoder may have ready: one being read, one waiting, one being written."""


@dataclass(frozen=True)
class Opened:
    """Video `index` begins: its packets counted, size in px, frames per second. Decoding has not checked it yet."""

    index: int
    frames: int
    width: int
    height: int
    fps: float


@dataclass(frozen=True)
class Chunk:
    """Frames first ... of video `index`, (count, height * 3 / 2, width) uint8 yuv420p planes in shared memory.
    Call `release` as soon as they are copied."""

    index: int
    first: int
    planes: U8
    release: Callable[[], None]


@dataclass(frozen=True)
class Closed:
    """Video `index` is finished and had `frames` frames."""

    index: int
    frames: int


Event = Opened | Chunk | Closed


class DecodePool:
    """Decoder processes and their memory. frame_bytes: of the largest picture to expect; chunk: frames per chunk."""

    def __init__(self, processes: int, frame_bytes: int, chunk: int = 32) -> None:
        granularity = mmap.ALLOCATIONGRANULARITY
        self.slot_bytes = -(-frame_bytes * chunk // granularity) * granularity
        self._file = _anonymous(processes * SLOTS * self.slot_bytes)
        self._map = mmap.mmap(self._file.fileno(), processes * SLOTS * self.slot_bytes)
        self.memory: U8 = np.frombuffer(self._map, dtype=np.uint8).reshape(processes, SLOTS, self.slot_bytes)
        self._decoders = [self._start(number) for number in range(processes)]
        self._locks = [threading.Lock() for _ in range(processes)]

    def _start(self, number: int) -> subprocess.Popen[str]:
        at = number * SLOTS * self.slot_bytes
        arguments = [str(value) for value in (self._file.fileno(), at, SLOTS, self.slot_bytes)]
        return subprocess.Popen(
            [sys.executable, "-m", "leicos_jobs.backends.gr00t_dreams.decode_worker", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[self._file.fileno()],
        )  # fmt: skip

    def read(self, paths: Sequence[Path]) -> Iterator[Event]:
        """Events of all videos. Raises the decoder's InputError as `VideoFailure`, naming the video.

        If it is left before its end the pool is closed: decoders may be in the middle of a video.
        """
        ready: queue.Queue[tuple[int, Event | BaseException | None]] = queue.Queue()
        pending = iter(list(enumerate(paths)))
        lock = threading.Lock()
        threads = [
            threading.Thread(target=self._drive, args=(number, pending, lock, ready), daemon=True)
            for number in range(min(len(self._decoders), len(paths)))
        ]
        finished = False
        try:
            for thread in threads:
                thread.start()
            left = len(threads)
            while left:
                _, event = ready.get()
                if isinstance(event, BaseException):
                    raise event
                if event is None:
                    left -= 1
                else:
                    yield event
            finished = True
        finally:
            if not finished:
                self.close()

    def _drive(
        self,
        number: int,
        pending: Iterator[tuple[int, Path]],
        lock: threading.Lock,
        ready: queue.Queue[tuple[int, Event | BaseException | None]],
    ) -> None:
        """Give one decoder its videos and pass on what it says."""
        decoder = self._decoders[number]
        try:
            while True:
                with lock:
                    index, path = next(pending, (-1, Path()))
                if index < 0:
                    ready.put((-1, None))
                    return
                for event in self._video(number, decoder, index, path):
                    ready.put((index, event))
        except (InputError, DefectError, OSError, ValueError) as error:
            ready.put((-1, error))

    def _video(self, number: int, decoder: subprocess.Popen[str], index: int, path: Path) -> Iterator[Event]:
        commands, events = decoder.stdin, decoder.stdout
        if commands is None or events is None:
            raise DefectError("a decoder has no pipes")

        def say(**command: Any) -> None:
            with self._locks[number]:  # the reader frees slots while this thread names the next video
                commands.write(json.dumps(command) + "\n")
                commands.flush()

        say(path=str(path))
        width = height = 0
        while True:
            line = events.readline()
            if not line:
                raise VideoFailure(index, f"{path}: its decoder died (exit {decoder.wait()})", None)
            event = json.loads(line)
            if event["event"] == "failed":
                raise VideoFailure(index, event["message"], event["fix"])
            if event["event"] == "opened":
                width, height = event["width"], event["height"]
                if not event["fits"]:
                    raise VideoFailure(index, f"{path} is {width}x{height}: odd, or larger than expected", None)
                yield Opened(index, event["frames"], width, height, event["fps"])
            elif event["event"] == "chunk":
                count, slot = event["count"], event["slot"]
                flat = self.memory[number, slot, : count * width * height * 3 // 2]
                planes = flat.reshape(count, height * 3 // 2, width)
                yield Chunk(index, event["first"], planes, partial(say, free=slot))
            else:
                yield Closed(index, event["frames"])
                return

    def close(self) -> None:
        """End the decoders; the memory goes with the last array that looks at it."""
        for decoder in self._decoders:
            decoder.kill()
            decoder.wait()
            for pipe in (decoder.stdin, decoder.stdout):
                if pipe is not None:
                    pipe.close()
        self._decoders = []
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether the pool can decode no more."""
        return not self._decoders


class VideoFailure(InputError):
    """Video `index` of a `DecodePool.read` cannot be used."""

    def __init__(self, index: int, message: str, fix: str | None) -> None:
        super().__init__(message, fix=fix)
        self.index = index


def _anonymous(size: int) -> IO[bytes]:
    """Memory with a file descriptor, so that other processes can map it."""
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("leicos-decode"), "r+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(size)
    return file
