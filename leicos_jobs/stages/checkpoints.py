"""Trained artifacts: fetched for a backend, or taken over from a URI that the configuration names."""

from __future__ import annotations

import shutil
from pathlib import Path

from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.opened import Run
from leicos_jobs.stages.whole import fetch_folder
from leicos_jobs.store import open_store

HELD_OUT = "held_out"
"""Labels of the real held-out demos lie beside an artifact's files but are no part of it."""


def fetch_artifact(run: Run, stage: str, prefix: str, scratch: Path) -> Path | None:
    """The artifact folder that a training stage published, as a local folder; None if that stage made none."""
    if run.commits.stage(stage) is None:
        return None
    return fetch_folder(run, prefix, scratch)


def import_artifact(uri: str, folder: Path) -> None:
    """Copy an existing artifact (a folder or s3:// prefix) into `folder`. Raises InputError if there is none."""
    store = open_store(uri)
    keys = [key for key in store.list("") if not key.startswith(f"{HELD_OUT}/")]
    if not keys:
        raise InputError(f"no artifact at {uri}", fix="name the folder that holds the checkpoint's files")
    for key in keys:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.fetch(key, folder / ".download"), target)
    shutil.rmtree(folder / ".download", ignore_errors=True)


def artifact_digest(folder: Path) -> str:
    """Digest of an artifact: its files' names and bytes."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return digest_of({name.as_posix(): sha256_file(path) for name, path in files.items() if name.parts[0] != HELD_OUT})
