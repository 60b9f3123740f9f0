"""Several processes that train one network, a GPU each: every one takes its share of a step's batch, and the gradients
are averaged.

Batch, noise and schedule are those of one process, so the weights are the same up to rounding. The leader is the
process that began; it alone averages weights, writes checkpoints and reports. The others live no longer than it does.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.core.programs import die_with

PATIENCE = timedelta(minutes=30)
"""How long the others wait for the leader, which also makes the sample videos."""
PIECE = 1 << 26
"""Numbers that are averaged at a time."""
Follow = Callable[..., None]
"""What the others do: called with the arguments given and their `Team`."""


@dataclass(frozen=True)
class Team:
    """One of `size` processes. others: the leader's; it asks whether they are alive."""

    rank: int = 0
    size: int = 1
    others: tuple[multiprocessing.process.BaseProcess, ...] = ()

    @property
    def leads(self) -> bool:
        """Whether this is the process that began."""
        return self.rank == 0

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """This process' part of a batch, along the first axis."""
        return batch[self.rank :: self.size]

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the mean over all processes in the place of each tensor. Raises RetryError if one of them has ended."""
        if self.size == 1:
            return
        for piece in _pieces(tensors):
            flat = torch.cat([part.reshape(-1) for part in piece])
            self._sum(flat)
            flat /= self.size
            first = 0
            for part in piece:
                part.copy_(flat[first : first + part.numel()].view_as(part))
                first += part.numel()

    def _sum(self, flat: torch.Tensor) -> None:
        try:
            work = distributed.all_reduce(flat, async_op=True)
            while not work.is_completed():
                self._require_others()
                time.sleep(0.0005)
            work.wait()
        except RuntimeError as error:  # gloo notices at once that a connection is closed
            self._require_others()
            raise RetryError(f"a process of the training could not be reached: {str(error)[:300]}") from error

    def _require_others(self) -> None:
        for number, process in enumerate(self.others, start=1):
            if process.exitcode is not None:
                raise RetryError(
                    f"process {number} of the training ended (exit {process.exitcode})",
                    fix="its error is in the log above; the training goes on from its last checkpoint",
                )


def _pieces(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Of one type each, and of about PIECE numbers."""
    for dtype in dict.fromkeys(part.dtype for part in tensors):
        piece: list[torch.Tensor] = []
        for part in (part for part in tensors if part.dtype == dtype):
            if piece and sum(other.numel() for other in piece) + part.numel() > PIECE:
                yield piece
                piece = []
            piece.append(part)
        yield piece


def size_of(wanted: int | None, batch: int, device: torch.device) -> int:
    """How many processes train. wanted: None for as many as there are GPUs and share the batch. Raises InputError."""
    there = torch.cuda.device_count() if device.type == "cuda" else None
    if wanted is None:
        return max(size for size in range(1, (there or 1) + 1) if batch % size == 0)
    if there is not None and wanted > there:
        raise InputError(
            f"generate.settings.post_train.processes: {wanted} need as many GPUs, this machine has {there}",
            fix=f"set it to {there}, or leave it out",
        )
    if batch % wanted:
        raise InputError(
            f"generate.settings.post_train.processes: {wanted} cannot share a batch of {batch} evenly",
            fix=f"set post_train.batch to a multiple of {wanted}; it counts the clips of all processes",
        )
    return wanted


@contextmanager
def leading(size: int, device: torch.device, follow: Follow, *arguments: Any) -> Iterator[Team]:
    """The team of a training; the others are started, and ended with it. arguments: for `follow`, can be pickled."""
    if size == 1:
        yield Team()
        return
    folder = Path(tempfile.mkdtemp(prefix="leicos-"))
    meeting = folder / "meeting"
    context = multiprocessing.get_context("spawn")
    others = tuple(
        context.Process(
            target=_follow, args=(os.getpid(), meeting, rank, size, device.type, follow, arguments), daemon=True
        )
        for rank in range(1, size)
    )
    try:
        for process in others:
            process.start()
        _meet(meeting, 0, size, device.type)
        yield Team(0, size, others)
    finally:
        for process in others:
            process.kill()
            process.join()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        shutil.rmtree(folder, ignore_errors=True)


def _meet(meeting: Path, rank: int, size: int, kind: str) -> None:
    backend = "nccl" if kind == "cuda" else "gloo"
    distributed.init_process_group(
        backend, init_method=f"file://{meeting}", rank=rank, world_size=size, timeout=PATIENCE
    )


def _follow(
    parent: int, meeting: Path, rank: int, size: int, kind: str, follow: Follow, arguments: tuple[Any, ...]
) -> None:
    die_with(parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the leader ends the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if kind == "cuda":
        torch.cuda.set_device(rank)
    _meet(meeting, rank, size, kind)
    follow(*arguments, Team(rank, size))
