"""Runs in a process with TRITON_INTERPRET=1, see test_gr00t_pixels."""

from __future__ import annotations

import torch

from leicos_jobs.backends.gr00t_dreams.ops import FusedOps, Ops
from leicos_jobs.backends.gr00t_dreams.pixels import Preprocessor, View
from leicos_jobs.backends.gr00t_dreams.prepare import Norm


def near(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=2e-6, rtol=1e-5), float((ours - theirs).abs().max())


def main() -> None:
    torch.manual_seed(0)
    plain, fused = Ops(torch.float32), FusedOps(torch.float32)
    norm = Norm(torch.rand(48) + 0.5, torch.randn(48), 1e-5)
    first, x, table = torch.randn(4, 48), torch.randn(4, 48), torch.randn(2, 48)
    second = first.clone()
    near(fused.add_norm(second, x, norm), plain.add_norm(first, x, norm))
    near(second, first)
    near(fused.norm(second, norm), plain.norm(first, norm))
    for ours, theirs in zip(fused.start(x, table, norm), plain.start(x, table, norm), strict=True):
        near(ours, theirs)
    q, kv, own = torch.randn(1, 16, 2, 16), torch.randn(1, 33, 4, 2, 16), torch.randn(1, 33, 3, 2, 16)
    for repeats in (1, 80):
        near(fused.attend(q, kv[:, :, 2], kv[:, :, 3], repeats), plain.attend(q, kv[:, :, 2], kv[:, :, 3], repeats))
        near(fused.attend(*own.unbind(2), repeats), plain.attend(*own.unbind(2), repeats))
    view = View(32, 32, crop=0.95, resize=28, image=32, patch=16, resample=2)
    planes = torch.randint(0, 256, (2, 48, 32), dtype=torch.uint8)
    ours, theirs = torch.full((2, 4, 768), 9.0), torch.zeros(2, 4, 768)
    Preprocessor(view, torch.device("cpu"), torch.float32, fused=True)(planes, ours)
    Preprocessor(view, torch.device("cpu"), torch.float32, fused=False)(planes, theirs)
    away = (ours - theirs).abs()
    assert float(away.max()) < 2.5 / 127.5, float(away.max())
    assert float((away > 0).float().mean()) < 0.01


if __name__ == "__main__":
    main()
