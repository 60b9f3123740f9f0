"""Videos through the engine: decoded frames in, chunks of actions out, several videos in flight.

Frames of all videos are strung together into full batches, whatever video they belong to, and so are windows; batches
have one fixed size (the last is filled up with what the buffer holds), so that a row is computed by the same kernels
whatever its neighbours are. The host only fills buffers and queues work: copies to the GPU run on a stream of their
own, and at most `AHEAD` batches are queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from leicos_jobs.backends.gr00t_dreams.decode_pool import SLOTS, Chunk, Closed, Event, Opened, VideoFailure
from leicos_jobs.backends.gr00t_dreams.engine import Engine
from leicos_jobs.backends.gr00t_dreams.noise import window_noise
from leicos_jobs.backends.gr00t_dreams.pixels import Preprocessor

F32 = NDArray[np.float32]
AHEAD = 3
"""Batches of frames that may be queued on the GPU."""
HELD = SLOTS - 1
"""Chunks that may be held while their copies are under way: fewer than a decoder has, or both would wait."""
NOISE_THREADS = 4


@dataclass
class _Track:
    """A video in flight. tokens: (frames, tokens, width) on the device. noise: (frames, horizon * action_dim)."""

    index: int
    frames: int
    tokens: Tensor
    noise: Future[F32]
    predicted: F32
    encoded: int = 0
    asked: int = 0
    done: int = 0
    closed: bool = False

    def ready(self, offset: int) -> int:
        """Windows 0 ... ready - 1 have both frames: the second is never beyond the last."""
        whole = self.encoded == self.frames and self.closed
        return self.frames if whole else max(0, self.encoded - offset)


@dataclass(frozen=True)
class _Part:
    """Rows of a batch that belong to one video: rows row ... row + count - 1 are its frames or windows first ..."""

    track: _Track
    row: int
    first: int
    count: int


@dataclass
class _Batch:
    """A batch of windows on its way back: its parts, the pinned copy, and the event after which that is complete."""

    parts: list[_Part]
    actions: Tensor
    done: Any


@dataclass
class Stream:
    """One pass over some videos. seeds: of each video, by index. joints: columns of the network's actions to keep.
    offset: frames between a window's two."""

    engine: Engine
    preprocess: Preprocessor
    seeds: list[int]
    joints: int
    offset: int
    _tracks: dict[int, _Track] = field(default_factory=dict)
    _frames: list[_Part] = field(default_factory=list)
    _windows: deque[_Part] = field(default_factory=deque)
    _back: deque[_Batch] = field(default_factory=deque)
    _queued: deque[Any] = field(default_factory=deque)
    _copied: deque[tuple[Any, Chunk]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.cuda = self.engine.device.type == "cuda"
        self._side: Any = None
        if self.cuda:
            self._side = torch.cuda.Stream(self.engine.device)  # type: ignore[no-untyped-call, unused-ignore]
        shape = self.engine.noise.shape
        self._pinned = deque(torch.empty(shape, pin_memory=self.cuda) for _ in range(AHEAD + 2))

    @torch.inference_mode()
    def run(self, events: Iterable[Event]) -> Iterator[tuple[int, F32]]:
        """Yield (video index, (frames, horizon, joints) normalised chunks, window t in row t) as videos finish."""
        with ThreadPoolExecutor(NOISE_THREADS) as pool:
            for event in events:
                if isinstance(event, Opened):
                    self._open(event, pool)
                elif isinstance(event, Chunk):
                    self._take(event)
                elif isinstance(event, Closed):
                    self._close(event)
                yield from self._finished(wait=False)
            while self._copied:
                self._copied.popleft()[1].release()
            if self._frames:
                self._encode()
            self._act(self._all_windows(), last=True)
            yield from self._finished(wait=True)

    def _open(self, event: Opened, pool: ThreadPoolExecutor) -> None:
        sizes = self.engine.sizes
        tokens = torch.empty((event.frames, sizes.tokens, sizes.width), device=self.engine.device)
        size = sizes.horizon * sizes.action_dim
        noise = pool.submit(window_noise, self.seeds[event.index], 0, event.frames, size)
        predicted = np.empty((event.frames, sizes.horizon, self.joints), dtype=np.float32)
        self._tracks[event.index] = _Track(event.index, event.frames, tokens, noise, predicted)

    def _close(self, event: Closed) -> None:
        track = self._tracks[event.index]
        if event.frames != track.frames:
            raise VideoFailure(
                event.index, f"{event.frames} of {track.frames} frames could be decoded", "make the video again"
            )
        track.closed = True

    def _take(self, chunk: Chunk) -> None:
        """Copy a chunk to the device, preprocess it into the batch, and encode whenever the batch is full."""
        planes = self._upload(chunk)
        track, done = self._tracks[chunk.index], 0
        if chunk.first + len(chunk.planes) > track.frames:
            raise VideoFailure(chunk.index, "more frames than packets", "make the video again")
        while done < len(planes):
            row = self._frames[-1].row + self._frames[-1].count if self._frames else 0
            count = min(len(planes) - done, self.engine.plan.frames - row)
            self.preprocess(planes[done : done + count], self.engine.patches[row : row + count])
            self._frames.append(_Part(track, row, chunk.first + done, count))
            done += count
            if row + count == self.engine.plan.frames:
                self._encode()

    def _upload(self, chunk: Chunk) -> Tensor:
        host = torch.from_numpy(chunk.planes)
        if self._side is None:
            planes = host.clone()
            chunk.release()
            return planes
        with torch.cuda.stream(self._side):
            planes = host.to(self.engine.device, non_blocking=True)
            event = _recorded(self._side)
        current = torch.cuda.current_stream(self.engine.device)
        current.wait_event(event)
        planes.record_stream(current)
        self._copied.append((event, chunk))
        while len(self._copied) > HELD:
            held, copied = self._copied.popleft()
            held.synchronize()
            copied.release()
        return planes

    def _encode(self) -> None:
        """Encode the frames in the buffer, spread their tokens, and run what windows have become ready."""
        self.engine.encode()
        for part in self._frames:
            tokens = self.engine.tokens[part.row : part.row + part.count]
            part.track.tokens[part.first : part.first + part.count] = tokens
            part.track.encoded += part.count
        self._frames.clear()
        if self.cuda:
            self._queued.append(_recorded())
            while len(self._queued) > AHEAD:
                self._queued.popleft().synchronize()
        self._act(self._all_windows(), last=False)

    def _all_windows(self) -> int:
        """Note newly ready windows of every video; returns how many wait."""
        for track in self._tracks.values():
            ready = track.ready(self.offset)
            if ready > track.asked:
                self._windows.append(_Part(track, 0, track.asked, ready - track.asked))
                track.asked = ready
        return sum(part.count for part in self._windows)

    def _act(self, waiting: int, *, last: bool) -> None:
        """Run full batches of the waiting windows; with `last` also the one that is not full."""
        size = self.engine.plan.windows
        while waiting >= size or (last and waiting):
            parts: list[_Part] = []
            row = 0
            while row < size and self._windows:
                part = self._windows.popleft()
                count = min(part.count, size - row)
                parts.append(_Part(part.track, row, part.first, count))
                if count < part.count:
                    self._windows.appendleft(_Part(part.track, 0, part.first + count, part.count - count))
                row += count
            waiting -= row
            self._run(parts)

    def _run(self, parts: list[_Part]) -> None:
        """One batch of windows: gather tokens and noise, run, and start the copy back."""
        engine, tokens = self.engine, self.engine.sizes.tokens
        if not self._pinned:
            self._collect(wait=True)
        pinned = self._pinned.popleft()
        for part in parts:
            rows, stop = slice(part.row, part.row + part.count), part.first + part.count
            source = part.track.tokens
            engine.pairs[rows, :tokens] = source[part.first : stop]
            whole = max(0, min(stop, part.track.frames - self.offset) - part.first)
            engine.pairs[part.row : part.row + whole, tokens:] = source[part.first + self.offset :][:whole]
            engine.pairs[part.row + whole : part.row + part.count, tokens:] = source[-1]
            noise = part.track.noise.result()[part.first : stop]
            pinned[rows] = torch.from_numpy(noise).view(part.count, *pinned.shape[1:])
        engine.noise.copy_(pinned, non_blocking=True)
        engine.act()
        # the buffer that brought the noise takes the actions back: both copies are on one stream, in this order
        pinned.copy_(engine.actions, non_blocking=True)
        self._back.append(_Batch(parts, pinned, _recorded() if self.cuda else None))

    def _collect(self, *, wait: bool) -> None:
        """Take the oldest batch back, if it is complete or `wait`."""
        batch = self._back[0]
        if batch.done is not None:
            if not wait and not batch.done.query():
                return
            batch.done.synchronize()
        self._back.popleft()
        actions = batch.actions.numpy()
        for part in batch.parts:
            rows = slice(part.row, part.row + part.count)
            part.track.predicted[part.first : part.first + part.count] = actions[rows, :, : self.joints]
            part.track.done += part.count
        self._pinned.append(batch.actions)

    def _finished(self, *, wait: bool) -> Iterator[tuple[int, F32]]:
        """Videos whose windows are all back."""
        while self._back:
            before = len(self._back)
            self._collect(wait=wait)
            if len(self._back) == before:
                break
        for index, track in list(self._tracks.items()):
            if track.closed and track.done == track.frames:
                del self._tracks[index]
                yield index, track.predicted


def _recorded(stream: Any = None) -> Any:
    """An event after what is queued on `stream`, by default the current one."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call, unused-ignore]
    event.record(stream)
    return event
