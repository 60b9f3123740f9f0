"""`pixels` on a GPU: three Triton kernels from yuv420p planes to patches, in PyTorch's and Pillow's own arithmetic.

Compiled without contraction of products and sums: where a fused multiply-add is wanted it is written. Import only where
triton is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import triton  # type: ignore[import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

if TYPE_CHECKING:
    from leicos_jobs.backends.gr00t_dreams.pixels import Taps, View


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _clamped(value):  # type: ignore[no-untyped-def, unused-ignore]
    return tl.minimum(tl.maximum(value, 0), 255)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _taken(total, value, weight, fused):  # type: ignore[no-untyped-def, unused-ignore]
    """The next tap, by fused multiply-add where `fused`."""
    return tl.where(fused, tl.fma(value, weight, total), total + value * weight)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _shrink_across(  # type: ignore[no-untyped-def, unused-ignore]
    planes, unit, start, count, weights, out,
    WIDTH: tl.constexpr, HEIGHT: tl.constexpr, LEFT: tl.constexpr, TOP: tl.constexpr, ROWS: tl.constexpr,
    SIZE: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One picture row a program: RGB from the planes, / 255, resampled sideways to (3, ROWS, SIZE) float32."""
    frame, row = (tl.program_id(0) // ROWS).to(tl.int64), tl.program_id(0) % ROWS
    line = TOP + row
    luma = planes + frame * (WIDTH * HEIGHT * 3 // 2)
    blue = luma + WIDTH * HEIGHT + (line // 2) * (WIDTH // 2)
    rose = blue + (WIDTH // 2) * (HEIGHT // 2)
    column = tl.arange(0, BLOCK)
    inside = column < SIZE
    first = tl.load(start + column, mask=inside, other=0) + LEFT
    grouped = (tl.load(count + column, mask=inside, other=1) - 1) // 4 * 4
    red = tl.zeros((BLOCK,), tl.float32)
    green = tl.zeros((BLOCK,), tl.float32)
    azure = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        at = tl.minimum(first + tap, WIDTH - 1)
        bright = ((tl.load(luma + line * WIDTH + at).to(tl.int32) * 8 - 128) * 9539) >> 16
        u = tl.load(blue + at // 2).to(tl.int32) * 8 - 1024
        v = tl.load(rose + at // 2).to(tl.int32) * 8 - 1024
        weight = tl.load(weights + tap * SIZE + column, mask=inside, other=0.0)
        one = tl.load(unit + _clamped(bright + ((v * 13075) >> 16)))
        two = tl.load(unit + _clamped(bright + ((u * -3209) >> 16) + ((v * -6660) >> 16)))
        three = tl.load(unit + _clamped(bright + ((u * 16525) >> 16)))
        fused = (tap > grouped) & (tap > 0)
        red = _taken(red, one, weight, fused)
        green = _taken(green, two, weight, fused)
        azure = _taken(azure, three, weight, fused)
    place = out + (frame * 3 * ROWS + row) * SIZE + column
    tl.store(place, red, mask=inside)
    tl.store(place + ROWS * SIZE, green, mask=inside)
    tl.store(place + 2 * ROWS * SIZE, azure, mask=inside)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _shrink_down(  # type: ignore[no-untyped-def, unused-ignore]
    rows, start, count, weights, out,
    ROWS: tl.constexpr, SIZE: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One output row a program: resampled downwards, * 255, cut to uint8: (3, SIZE, SIZE)."""
    plane, row = (tl.program_id(0) // SIZE).to(tl.int64), tl.program_id(0) % SIZE
    column = tl.arange(0, BLOCK)
    inside = column < SIZE
    first = tl.load(start + row)
    grouped = (tl.load(count + row) - 1) // 4 * 4
    total = tl.zeros((BLOCK,), tl.float32)
    for tap in tl.static_range(TAPS):
        line = tl.minimum(first + tap, ROWS - 1)
        value = tl.load(rows + (plane * ROWS + line) * SIZE + column, mask=inside, other=0.0)
        total = _taken(total, value, tl.load(weights + tap * SIZE + row), (tap > grouped) & (tap > 0))
    level = (total * 255).to(tl.int32)
    tl.store(out + (plane * SIZE + row) * SIZE + column, level.to(tl.uint8), mask=inside)


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _enlarge(  # type: ignore[no-untyped-def, unused-ignore]
    pictures, start, weights, levels, out,
    SIZE: tl.constexpr, IMAGE: tl.constexpr, PATCH: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One row of the network's picture a program: Pillow's resize, sideways then downwards, into patches."""
    plane, row = (tl.program_id(0) // IMAGE).to(tl.int64), tl.program_id(0) % IMAGE
    column = tl.arange(0, BLOCK)
    inside = column < IMAGE
    first = tl.load(start + column, mask=inside, other=0)
    top = tl.load(start + row)
    total = tl.full((BLOCK,), 1 << 21, tl.int32)
    for line in tl.static_range(TAPS):
        source = pictures + (plane * SIZE + tl.minimum(top + line, SIZE - 1)) * SIZE
        across = tl.full((BLOCK,), 1 << 21, tl.int32)
        for tap in tl.static_range(TAPS):
            value = tl.load(source + tl.minimum(first + tap, SIZE - 1), mask=inside, other=0).to(tl.int32)
            across += value * tl.load(weights + tap * IMAGE + column, mask=inside, other=0)
        total += _clamped(across >> 22) * tl.load(weights + line * IMAGE + row)
    value = tl.load(levels + _clamped(total >> 22))
    frame, channel = plane // 3, plane % 3
    side: tl.constexpr = IMAGE // PATCH
    patch = frame * side * side + (row // PATCH) * side + column // PATCH
    within = channel * PATCH * PATCH + (row % PATCH) * PATCH + column % PATCH
    tl.store(out + patch * (3 * PATCH * PATCH) + within, value, mask=inside)


class PixelKernels:
    """The three kernels with their tables on a device."""

    def __init__(
        self, view: View, across: Taps, down: Taps, enlarge: Taps, levels: Tensor, device: torch.device
    ) -> None:
        self.view = view
        self.unit = (torch.arange(256, dtype=torch.float32) / 255.0).to(device)
        self.levels = levels

        def tables(taps: Taps) -> tuple[Tensor, Tensor, Tensor]:
            start, count, weights = (
                torch.from_numpy(np.ascontiguousarray(part)).to(device)
                for part in (taps.start, taps.count, taps.weights)
            )
            return start, count, weights

        self.across, self.down, self.enlarge = tables(across), tables(down), tables(enlarge)

    def __call__(self, planes: Tensor, out: Tensor) -> None:
        """yuv420p planes (n, height * 3 / 2, width) uint8 to `out` (n, patches, 3 * patch^2), both contiguous."""
        view, count = self.view, len(planes)
        left, top, _, tall = view.box
        block = triton.next_power_of_2(view.resize)
        rows = torch.empty((count, 3, tall, view.resize), dtype=torch.float32, device=planes.device)
        small = torch.empty((count, 3, view.resize, view.resize), dtype=torch.uint8, device=planes.device)
        options = {"num_warps": 4, "enable_fp_fusion": False}
        _shrink_across[(count * tall,)](
            planes, self.unit, *self.across, rows, WIDTH=view.width, HEIGHT=view.height, LEFT=left, TOP=top,
            ROWS=tall, SIZE=view.resize, TAPS=len(self.across[2]), BLOCK=block, **options,
        )  # fmt: skip
        _shrink_down[(count * 3 * view.resize,)](
            rows, *self.down, small, ROWS=tall, SIZE=view.resize, TAPS=len(self.down[2]), BLOCK=block, **options
        )
        start, _, weights = self.enlarge
        _enlarge[(count * 3 * view.image,)](
            small, start, weights, self.levels, out, SIZE=view.resize, IMAGE=view.image, PATCH=view.patch,
            TAPS=len(weights), BLOCK=triton.next_power_of_2(view.image), **options,
        )  # fmt: skip
