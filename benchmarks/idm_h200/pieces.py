"""What the engine's parts do on the device: rates, floating-point operations, and where a window's time goes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from leicos_jobs.backends.gr00t_dreams.checkpoint import Architecture

CATEGORIES = (
    ("attention", ("flash", "fmha", "attention", "_attend", "sdpa")),
    ("norm and residual", ("_add_norm", "layer_norm")),
    ("pixels", ("_shrink", "_enlarge")),
    ("matrix products", ("gemm", "nvjet", "cutlass", "cublas", "splitK", "xmma")),
)


def seconds(function: Callable[[], Any], repeats: int = 5) -> float:
    """Median host time of a call between two synchronisations, after one warm-up."""
    function()
    torch.cuda.synchronize()
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def product_rate(size: int = 8192, repeats: int = 20) -> float:
    """TFLOP/s of a bf16 size^3 product of random matrices."""
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)

    def run() -> None:
        for _ in range(repeats):
            torch.mm(a, b, out=out)

    return 2 * size**3 * repeats / seconds(run, 3) / 1e12


def frame_flop(sizes: Architecture, mlp: int = 4096) -> float:
    """Of `encode`, a frame: multiply and add are two. Products and attention only."""
    tokens, width, out = sizes.patches, sizes.vision_width, sizes.width
    layer = 2 * tokens * width * (4 * width + 2 * mlp) + 4 * tokens**2 * width
    merges = sum(2 * tokens // share * (4 * out * out + out * out) for share in (4, 16))
    return 2 * tokens * 3 * sizes.patch**2 * width + sizes.vision_layers * layer + 2 * tokens * width * out + merges


def window_flop(sizes: Architecture, pads: int) -> float:
    """Of `act`, a window, with pad tokens as given (1 where they are folded into one)."""
    width, keys, rows = sizes.width, 2 * sizes.tokens + pads, sizes.horizon
    block = 2 * (4 + 8) * width * width
    mix = sizes.mix_layers * (keys * block + 4 * keys**2 * width)
    cross = keys * 2 * width * width * sizes.denoise_layers
    own = rows * block + 4 * rows**2 * width
    other = rows * (block - 4 * width * width) + 4 * rows * keys * width
    ends = 2 * rows * (sizes.action_dim * width * 2 + 2 * width * width)
    return mix + cross + sizes.steps * (sizes.denoise_layers / 2 * (own + other) + ends)


def kernel_shares(function: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds of GPU time a category of kernels, of one call."""
    from torch.profiler import ProfilerActivity, profile

    function()
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        function()
        torch.cuda.synchronize()
    found: dict[str, float] = {}
    for item in recorded.key_averages():
        name = next((kind for kind, marks in CATEGORIES if any(mark in item.key for mark in marks)), "other")
        found[name] = found.get(name, 0.0) + item.self_device_time_total / 1e3
    return {name: round(value, 3) for name, value in sorted(found.items(), key=lambda pair: -pair[1])}


def top_kernels(function: Callable[[], Any], count: int = 14) -> list[tuple[str, float, int]]:
    """Name, milliseconds and calls of the kernels that take most of one call."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        function()
        torch.cuda.synchronize()
    items = sorted(recorded.key_averages(), key=lambda item: -item.self_device_time_total)[:count]
    return [(item.key[:90], round(item.self_device_time_total / 1e3, 3), item.count) for item in items]
