"""The state of PyTorch that results depend on: device, threads, deterministic algorithms. Put back after the work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from leicos_jobs.core.errors import InputError

# cuBLAS reads this once, when CUDA starts; without it deterministic algorithms refuse to run on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def settled(device: str, threads: int) -> Iterator[torch.device]:
    """Run with this many CPU threads and deterministic algorithms. device: auto, cpu or cuda."""
    chosen = _device(device)
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    # A help against code that reads memory before it writes it; a sixth of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield chosen
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark = before[2]
        torch.backends.cudnn.allow_tf32 = before[3]
        torch.utils.deterministic.fill_uninitialized_memory = before[4]  # type: ignore[attr-defined]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run with one CPU thread: for many small operations, which a second one only slows down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, this machine has none", fix="set device to auto or cpu")
    return torch.device(name)
