"""How the driver and the watchdog talk: by files in one folder, because a simulator's streams belong to the simulator.

    inbox/NNNNNN.json    a batch: {"slots": n or null, "episodes": [{"id", "start", "targets": file.npy, ...}]}
    ready.json           facts of the environment, once it stands
    results.jsonl        a line per episode, flushed and fsynced before the next step
    heartbeat.json       {"count", "phase", "in_hand"}: the count rises as long as the main loop turns
    failure.txt          the traceback of whatever ended the driver
    refused.txt          why the task can never be replayed; written instead of failure.txt
    stop                 its presence asks the driver to end

Written in a way that a reader never sees half of: new name, then rename.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from .loop import Episode

INBOX, READY, RESULTS, HEARTBEAT, FAILURE, REFUSED, STOP = (
    "inbox", "ready.json", "results.jsonl", "heartbeat.json", "failure.txt", "refused.txt", "stop",
)  # fmt: skip
BEAT_SECONDS = 0.25


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it appears complete."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)


class Heart:
    """Says that the main loop turns, at most four times a second. A thread would beat on while the simulator hangs."""

    def __init__(self, home: Path, owner: int) -> None:
        self._path, self._owner = home / HEARTBEAT, owner
        self._count, self._last = 0, 0.0
        self._said: tuple[str, list[str]] = ("", [])

    def beat(self, phase: str, in_hand: list[str]) -> None:
        """Beat; at once if phase or episodes in hand have changed."""
        now = time.monotonic()
        if (phase, in_hand) == self._said and now - self._last < BEAT_SECONDS:
            return
        self._count, self._last, self._said = self._count + 1, now, (phase, list(in_hand))
        write_whole(self._path, json.dumps({"count": self._count, "phase": phase, "in_hand": in_hand}))
        if self._owner and not _alive(self._owner):
            os._exit(1)  # nobody is left to read the results, and the GPU is wanted


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Results:
    """results.jsonl, a line at a time, on the disk before it returns."""

    def __init__(self, home: Path) -> None:
        self._stream = (home / RESULTS).open("a")

    def add(self, result: dict[str, Any]) -> None:
        """Append one result."""
        self._stream.write(json.dumps(result) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())


def read_batch(path: Path) -> tuple[int | None, list[Episode]]:
    """A batch file: how many environments to use (None: all), and the episodes."""
    data = json.loads(path.read_text())
    episodes = [
        Episode(
            id=item["id"],
            start=item["start"],
            targets=np.load(path.parent / item["targets"], allow_pickle=False),
            hold=int(item["hold"]),
            seed=int(item["seed"]),
            start_height=item.get("start_height"),
        )
        for item in data["episodes"]
    ]
    return data["slots"], episodes
