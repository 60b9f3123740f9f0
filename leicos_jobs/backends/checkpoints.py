"""Checkpoints that make a killed training end in the same bytes as an undisturbed one.

Everything random is drawn from (seed, step), so weights, their average, the optimiser and the step are all there is.
A checkpoint carries the identity of its training (recipe, data, seed): one of another training is ignored.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from leicos_jobs.core.logs import event


def save(path: Path, identity: str, state: dict[str, Any]) -> None:
    """Write durably and all at once: a kill leaves the old checkpoint or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        torch.save({"identity": identity, **state}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def load(path: Path, identity: str) -> dict[str, Any] | None:
    """The checkpoint of this very training, or None. A damaged one is a cache: the training begins again."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state if state.get("identity") == identity else None
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, AttributeError) as error:
        event("training.checkpoint_unreadable", path=path, error=f"{type(error).__name__}: {error}"[:200])
        return None
