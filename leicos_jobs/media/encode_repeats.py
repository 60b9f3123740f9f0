"""Writing H.264 of images that come several times in a row, without encoding the repeats.

LeIsaac's cameras show every image in two rows. x264 spends half of its time on finding out that the second is the
first; here each image becomes a key frame of its own, and its repeat one constant packet of some 20 bytes, a P picture
all of whose blocks are skipped. Decoders give the same pixels again, bit for bit (docs/decisions/cpu_baseline.md 3.3).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from leicos_jobs.core.errors import writing
from leicos_jobs.media.encode import CRF, PRESET, WITHOUT_TREE, Encoder, configure

GOP = 2

ALONE, ALONE_WITH_TREE = 2.0, 1.0
"""By how much x264 quantises a picture less that a second one follows, in `Encoder`: without and with a macroblock
tree. It never sees the second here, so the rate factor is lowered by as much; the PSNR is then the same (tests/media).
"""


class RepeatEncoder(Encoder):
    """An `Encoder` whose `repeat` costs nothing. Picture groups of two frames, as lerobot's."""

    _picture = PictureType.I

    def __init__(
        self,
        path: Path,
        fps: float | Fraction,
        size: tuple[int, int],
        *,
        crf: float = CRF,
        preset: str = PRESET,
    ) -> None:
        """Open `path`; as `Encoder`."""
        crf -= ALONE if preset in WITHOUT_TREE else ALONE_WITH_TREE
        super().__init__(path, fps, size, crf=crf, preset=preset, gop=GOP)
        self._skip = _skipped_picture(size, self._rate, crf, preset)
        self._repeats: set[int] = set()
        self._written = -1
        self._alone = False

    def repeat(self) -> None:
        """Append the last image once more. A third showing is a key frame again: groups have two frames."""
        if not self._alone:
            super().repeat()
            return
        self._repeats.add(self.frames)
        self._alone = False
        self.frames += 1
        with writing(self.path):
            self._mux_repeat()

    def _encode(self, frame: av.VideoFrame) -> None:
        super()._encode(frame)
        self._alone = True

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        """x264 gives pictures late but in order; each repeat goes right behind its picture."""
        for packet in packets:
            self._written = packet.pts or 0
            super()._mux([packet])
            self._mux_repeat()

    def _mux_repeat(self) -> None:
        if self._written + 1 not in self._repeats:
            return
        self._written += 1
        self._repeats.remove(self._written)
        packet = Packet(self._skip)
        packet.stream = self._stream
        packet.time_base = self._tick
        packet.pts = packet.dts = self._written
        packet.duration = 1
        self._container.mux(packet)


@cache
def _skipped_picture(size: tuple[int, int], rate: Fraction, crf: float, preset: str) -> bytes:
    """The second picture of a grey still, from an encoder of the same settings: it says "as before" everywhere."""
    context = VideoCodecContext.create("libx264", "w")
    configure(context, size, rate, crf, preset, GOP)
    still = av.VideoFrame.from_ndarray(np.full((size[1] * 3 // 2, size[0]), 128, np.uint8), format="yuv420p")
    packets = []
    for number in range(GOP):
        still.pts, still.time_base = number, 1 / rate
        packets += context.encode(still)
    packets += context.encode(None)
    return bytes(packets[1])
