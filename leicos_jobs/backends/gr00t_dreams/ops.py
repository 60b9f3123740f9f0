"""The few operations that the network is made of, twice: in plain PyTorch, and with fused kernels for CUDA.

Both compute the same. The residual stream is float32 in either; matrices work in the engine's type. A row of a result
depends on the same row of the inputs alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from leicos_jobs.backends.gr00t_dreams.prepare import Linear, Norm


class Ops:
    """What the engine needs, in plain PyTorch on any device. Rows are (M, width) tensors."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def linear(self, x: Tensor, layer: Linear) -> Tensor:
        """x @ weight + bias."""
        return torch.addmm(layer.bias, x, layer.weight)

    def gelu(self, x: Tensor, layer: Linear) -> Tensor:
        """tanh-approximated GELU of a linear layer."""
        return functional.gelu(torch.addmm(layer.bias, x, layer.weight), approximate="tanh")

    def start(self, x: Tensor, table: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
        """The residual stream x + table (table row = row modulo its length) in float32, and its norm."""
        residual = (x.float().view(-1, *table.shape) + table).view(x.shape)
        return residual, self.norm(residual, norm)

    def norm(self, residual: Tensor, norm: Norm) -> Tensor:
        """Norm of the residual stream, in the working type."""
        return functional.layer_norm(residual, residual.shape[-1:], norm.weight, norm.bias, norm.eps).to(self.dtype)

    def add_norm(self, residual: Tensor, x: Tensor, norm: Norm) -> Tensor:
        """Add x to the residual stream in place, then its norm."""
        residual += x
        return self.norm(residual, norm)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, repeats: int) -> Tensor:
        """Attention of (B, Tq, heads, size) on (B, Tk, heads, size); the last key counts `repeats` times.
        (B * Tq, heads * size)."""
        mask = None
        if repeats > 1:
            mask = torch.zeros(k.shape[1], dtype=q.dtype, device=q.device)
            mask[-1] = float(torch.tensor(repeats).log())
            mask = mask.expand(q.shape[1], -1)
        out = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
        )
        return out.transpose(1, 2).reshape(q.shape[0] * q.shape[1], -1)


class FusedOps(Ops):
    """CUDA: norms, residual additions and short attentions in kernels of our own, GELU in the product's epilogue.
    tf32: float32 products may take TF32 (10 bits of fraction, where bf16 has 7)."""

    SHORT = 64
    """Up to so many queries and keys a short attention is one tile."""

    def __init__(self, dtype: torch.dtype, *, tf32: bool = False) -> None:
        super().__init__(dtype)
        self.tf32 = tf32
        # imported here: triton is there only where CUDA is
        from leicos_jobs.backends.gr00t_dreams import kernels

        self.kernels = kernels

    def linear(self, x: Tensor, layer: Linear) -> Tensor:
        """See `Ops`."""
        with _products(self.tf32):
            return super().linear(x, layer)

    def gelu(self, x: Tensor, layer: Linear) -> Tensor:
        """See `Ops`. cuBLASLt's GELU epilogue is the tanh approximation."""
        with _products(self.tf32):
            return torch._addmm_activation(layer.bias, x, layer.weight, use_gelu=True)

    def start(self, x: Tensor, table: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
        """See `Ops`."""
        residual = torch.empty(x.shape, dtype=torch.float32, device=x.device)
        return residual, self.kernels.add_norm(residual, x, norm, self.dtype, table)

    def norm(self, residual: Tensor, norm: Norm) -> Tensor:
        """See `Ops`."""
        return self.kernels.add_norm(residual, None, norm, self.dtype)

    def add_norm(self, residual: Tensor, x: Tensor, norm: Norm) -> Tensor:
        """See `Ops`."""
        return self.kernels.add_norm(residual, x, norm, self.dtype)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, repeats: int) -> Tensor:
        """See `Ops`."""
        if max(q.shape[1], k.shape[1]) > self.SHORT:
            return super().attend(q, k, v, repeats)
        return self.kernels.attend(q, k, v, repeats)


@contextmanager
def _products(tf32: bool) -> Iterator[None]:
    """Whether float32 products may take TF32 while it lasts."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
