"""Triton kernels of the engine: residual addition with layer norm, and attention over a few dozen tokens.

Both are bound by memory: each reads its inputs once and writes its result once. Import only where triton is installed.
"""

from __future__ import annotations

import math

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

from leicos_jobs.backends.gr00t_dreams.prepare import Norm


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _add_norm(  # type: ignore[no-untyped-def, unused-ignore]
    residual, x, table, weight, bias, out, rows, period, eps,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, MODE: tl.constexpr,
):  # fmt: skip
    """One row a program. MODE 0: residual alone; 1: residual += x; 2: residual = x + table."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    place = row * WIDTH + column
    if MODE == 2:
        value = tl.load(table + (row % period) * WIDTH + column, mask=inside, other=0.0)
        value += tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(residual + place, value, mask=inside)
    else:
        value = tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
        if MODE == 1:
            value += tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
            tl.store(residual + place, value, mask=inside)
    mean = tl.sum(value, axis=0) / WIDTH
    away = tl.where(inside, value - mean, 0.0)
    scale = tl.rsqrt(tl.sum(away * away, axis=0) / WIDTH + eps)
    result = away * scale * tl.load(weight + column, mask=inside, other=0.0)
    result += tl.load(bias + column, mask=inside, other=0.0)
    tl.store(out + place, result.to(out.dtype.element_ty), mask=inside)


def add_norm(residual: Tensor, x: Tensor | None, norm: Norm, dtype: torch.dtype, table: Tensor | None = None) -> Tensor:
    """Layer norm of `residual` (M, width) float32, to which x (M, width) is added first. With `table`
    (period, width) float32 the residual is x + table instead. Returns (M, width) in `dtype`."""
    rows, width = residual.shape
    out = torch.empty((rows, width), dtype=dtype, device=residual.device)
    mode = 0 if x is None else 1 if table is None else 2
    _add_norm[(rows,)](
        residual, residual if x is None else x, residual if table is None else table, norm.weight, norm.bias, out,
        rows, 1 if table is None else len(table), norm.eps,
        WIDTH=width, BLOCK=triton.next_power_of_2(width), MODE=mode, num_warps=4,
    )  # fmt: skip
    return out


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _attend(  # type: ignore[no-untyped-def, unused-ignore]
    q, k, v, out, scale, last, queries, keys,
    q_batch, q_token, k_batch, k_token, v_batch, v_token,
    HEADS: tl.constexpr, SIZE: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """One window and head a program; all keys at once. Logits in powers of two; `last` is added to the last key's."""
    batch, head = (tl.program_id(0) // HEADS).to(tl.int64), tl.program_id(0) % HEADS
    row, key, part = tl.arange(0, QUERIES), tl.arange(0, KEYS), tl.arange(0, SIZE)
    column = head * SIZE + part
    some, real = row < queries, key < keys
    query = tl.load(q + batch * q_batch + row[:, None] * q_token + column[None], mask=some[:, None], other=0.0)
    keyed = tl.load(k + batch * k_batch + key[:, None] * k_token + column[None], mask=real[:, None], other=0.0)
    value = tl.load(v + batch * v_batch + key[:, None] * v_token + column[None], mask=real[:, None], other=0.0)
    logit = tl.dot(query, tl.trans(keyed), input_precision="ieee") * scale
    logit += tl.where(key == keys - 1, last, tl.where(real, 0.0, -float("inf")))[None]
    share = tl.exp2(logit - tl.max(logit, axis=1)[:, None])
    total = tl.sum(share, axis=1)
    mixed = tl.dot(share.to(value.dtype), value, input_precision="ieee") / total[:, None]
    place = out + (batch * queries + row[:, None]) * (HEADS * SIZE) + column[None]
    tl.store(place, mixed.to(out.dtype.element_ty), mask=some[:, None])


def attend(q: Tensor, k: Tensor, v: Tensor, repeats: int) -> Tensor:
    """Attention of (B, Tq, heads, size) on (B, Tk, heads, size), up to 64 tokens each; the last key counts `repeats`
    times. The last two dimensions of each are contiguous. Returns (B * Tq, heads * size)."""
    batch, queries, heads, size = q.shape
    keys = k.shape[1]
    out = torch.empty((batch * queries, heads * size), dtype=q.dtype, device=q.device)
    tile = [max(16, triton.next_power_of_2(count)) for count in (queries, keys)]
    _attend[(batch * heads,)](
        q, k, v, out, size**-0.5 * math.log2(math.e), math.log2(repeats), queries, keys,
        q.stride(0), q.stride(1), k.stride(0), k.stride(1), v.stride(0), v.stride(1),
        HEADS=heads, SIZE=size, QUERIES=tile[0], KEYS=tile[1], num_warps=1 if max(tile) <= 16 else 4,
    )  # fmt: skip
    return out
