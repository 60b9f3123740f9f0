"""Stages that commit as a whole: build a folder, upload it, write one record under the current key."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs, signals
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord, attempt_facts, make_key
from leicos_jobs.run.opened import Run

Build = Callable[[Path], dict[str, Any]]
"""Fills an empty folder with the stage's files and returns facts for the record."""


def whole_stage(
    run: Run,
    stage: str,
    *,
    version: int,
    settings: Any,
    inputs: dict[str, str],
    prefix: str,
    build: Build,
    last: str | None = None,
    keep: tuple[str, ...] = (),
) -> StageRecord:
    """Do a stage unless its record stands under the current key.

    prefix: where the built files go in the run. last: file (relative) to upload after all others, so that readers
    that know nothing of records do not take a half-uploaded folder for a finished one. keep: prefixes under `prefix`
    that are not the stage's to replace.
    """
    key = make_key(stage, version, settings, inputs)
    if (done := run.commits.stage(stage, key)) is not None:
        logs.event(f"{stage}.already_done", key=key)
        return done
    signals.install()
    begun = time.monotonic()
    run.commits.begin_stage(stage)
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        folder = Path(name) / "out"
        folder.mkdir()
        facts = build(folder)
        signals.check()
        files = publish(run, folder, prefix, last, keep)
    seconds = time.monotonic() - begun
    record = StageRecord(stage=stage, key=key, files=files, facts=facts, attempt=attempt_facts(seconds=seconds))
    run.commits.commit_stage(record)
    gpus = int(facts.get("gpus", 1))  # of the one pod: a trainer on several says so
    timing = {
        "stage": stage,
        "ended": time.time(),
        "seconds": seconds,
        "load_seconds": 0.0,
        "samples": None,
        "gpus": gpus,
    }
    run.store.put(layout.timing(stage, key), json.dumps(timing).encode())
    logs.event(f"{stage}.done", files=len(files), seconds=seconds)
    return record


def publish(run: Run, folder: Path, prefix: str, last: str | None, keep: tuple[str, ...] = ()) -> dict[str, str]:
    """Upload a folder's files under `prefix`, replacing what stood there before; returns key -> sha256."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if last is not None:
        paths.sort(key=lambda path: path.relative_to(folder).as_posix() == last)
        run.store.delete(f"{prefix}/{last}")
    files = {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in paths}
    for old in list(run.store.list(f"{prefix}/")):
        if old not in files and not old.startswith(keep):
            run.store.delete(old)
    digests = {}
    for key, path in files.items():
        digests[key] = sha256_file(path)
        run.store.upload(key, path)
        signals.check()
    return digests


def needed(run: Run, stage: str) -> StageRecord:
    """The record of an earlier stage. Raises InputError that names the command to run first."""
    record = run.commits.stage(stage)
    if record is None:
        raise InputError(f"{run.store.uri}: {stage} is not done", fix=f"run `leicos {stage} --run {run.store.uri}`")
    return record


def fetch_folder(run: Run, prefix: str, scratch: Path) -> Path:
    """A local folder with the objects under `prefix`: the store's own folder, or a download."""
    if (own := run.store.local(prefix)) is not None:
        return own
    target = scratch / prefix.replace("/", "-")
    for key in run.store.list(f"{prefix}/"):
        path = target / key[len(prefix) + 1 :]
        path.parent.mkdir(parents=True, exist_ok=True)
        run.store.fetch(key, path.parent).replace(path)
    return target
