"""Files that a run keeps for later workers and attempts, and how a training says where it is."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from leicos_jobs.core import logs, signals
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run
from leicos_jobs.store import KeyMissingError, Store

SYNC_SECONDS = 60.0


def reporter(stage: str, sync: Callable[[], None]) -> Callable[[int, int], None]:
    """A trainer's `report`: progress for Argo and the log, checkpoints to the store, and a stop when one is asked for.

    The stop comes as RetryError out of `report`, which trainers let pass.
    """
    said = [0.0]

    def report(done: int, total: int) -> None:
        if path := os.environ.get("ARGO_PROGRESS_FILE"):
            Path(path).write_text(f"{done}/{total}\n")
        if time.monotonic() - said[0] > 10:
            said[0] = time.monotonic()
            logs.event(f"{stage}.step", done=done, total=total)
        sync()
        signals.check()

    return report


class KeptFiles:
    """Files of a folder on this machine that the run keeps under `prefix` for those that come later."""

    def __init__(self, store: Store, prefix: str, folder: Path) -> None:
        self.store, self.prefix, self.folder = store, prefix, folder
        self.known: dict[str, tuple[int, int]] = {}
        """Of the files that are in the store as they are here: size and time of change."""

    def bring(self, name: str) -> None:
        """Fetch a file that the run keeps and that is not here."""
        target = self.folder / name
        if target.exists():
            return
        scratch = self.folder / ".fetched"
        try:
            fetched = self.store.fetch(f"{self.prefix}/{name}", scratch)
        except KeyMissingError:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched, target)
        shutil.rmtree(scratch, ignore_errors=True)
        self.known[name] = _stamp(target)

    def keep(self, name: str) -> None:
        """Upload a file that is here, if it is new or has changed."""
        path = self.folder / name
        if path.is_file() and self.known.get(name) != (stamp := _stamp(path)):
            self.store.upload(f"{self.prefix}/{name}", path)
            self.known[name] = stamp


class ResumeFolder:
    """A training's checkpoints, kept in the run so that the next attempt, perhaps on another node, goes on."""

    def __init__(self, run: Run, prefix: str, folder: Path) -> None:
        self.store, self.prefix, self.folder = run.store, prefix, folder
        self.files = KeptFiles(run.store, prefix, folder)
        self.last = time.monotonic()
        folder.mkdir(parents=True)
        for key in list(self.store.list(f"{prefix}/")):
            self.files.bring(key[len(prefix) + 1 :])

    def sync(self) -> None:
        """Upload what changed, at most once a minute or when a stop is asked for."""
        if time.monotonic() - self.last < SYNC_SECONDS and not signals.stopping():
            return
        self.last = time.monotonic()
        present = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}
        for name in sorted(present):
            self.files.keep(name)
        for name in self.files.known.keys() - present:
            self.store.delete(f"{self.prefix}/{name}")
            del self.files.known[name]


def forget(run: Run, stage: str, key: str) -> None:
    """Remove a training's checkpoints. Only once its record is there: until then a node that goes would take it all."""
    for kept in list(run.store.list(f"{layout.resume(stage, key)}/")):
        run.store.delete(kept)


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change: checkpoints are too large to be hashed every minute."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
