"""Recordings from this machine into the run, so that pods can read them: resumable, and checked by digest.

A recording of many gigabytes over an office line will be interrupted: `Store.upload_resumable` goes on. When all is
there a note with the file's sha256 is written beside it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.core.digests import files_below, sha256_file, sha256_folder
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.formats.lerobot_places import is_dataset
from leicos_jobs.robots.embodiment import is_file
from leicos_jobs.run import layout
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.inputs import RUN_PREFIX, upload_note
from leicos_jobs.store import KeyMissingError, Store

FOLDER = layout.SOURCES


@dataclass(frozen=True)
class Source:
    """A local file, or a dataset's folder, and where it goes."""

    path: Path
    sha256: str
    key: str


def plan_sources(config: RunConfig) -> tuple[RunConfig, list[Source]]:
    """The configuration as pods need it, and what must be uploaded for that. Raises InputError for a missing file.

    Names depend on the files alone, so that submitting again gives the same configuration.
    """
    found: dict[str, Source] = {}
    names = []
    robot = config.source.robot
    for name in (*config.source.files, *([robot] if is_file(robot) else [])):
        if "://" in name or name.startswith(RUN_PREFIX):
            names.append(name)
            continue
        path = Path(name)
        if not path.is_file() and not is_dataset(path):
            field = "source.robot" if name == robot else "source.files"
            raise InputError(f"{field}: {name} does not exist", fix="correct it in the configuration")
        sha256 = sha256_folder(path) if path.is_dir() else sha256_file(path)
        key = f"{FOLDER}/{_plain(path.name)}"
        if key in found and found[key].sha256 != sha256:
            key = f"{FOLDER}/{sha256[:12]}-{_plain(path.name)}"
        found[key] = Source(path, sha256, key)
        names.append(f"{RUN_PREFIX}{key}")
    changes = {"files": tuple(names), "robot": robot}
    if is_file(robot):
        *files, changes["robot"] = names
        changes["files"] = tuple(files)
    source = config.source.model_copy(update=changes)
    return config.model_copy(update={"source": source}), list(found.values())


def upload(store: Store, source: Source) -> bool:
    """Bring a recording into the run, whose run.json names its content; False if it was there. Raises RetryError."""
    note = upload_note(source.key)
    size = source.path.stat().st_size
    if _noted(store, note) == source.sha256 and (source.path.is_dir() or store.size(source.key) == size):
        return False
    if source.path.is_dir():
        names = files_below(source.path)
        for name in names:
            store.upload_resumable(f"{source.key}/{name}", source.path / name)
        for key in set(store.list(f"{source.key}/")) - {f"{source.key}/{name}" for name in names}:
            store.delete(key)  # of a dataset that was there before
        store.put(note, json.dumps({"sha256": source.sha256, "size": size}).encode())
        return True
    store.upload_resumable(source.key, source.path)
    if store.size(source.key) != size:
        raise RetryError(f"{store.uri}/{source.key} is incomplete", fix="submit again; what was sent is kept")
    store.put(note, json.dumps({"sha256": source.sha256, "size": size}).encode())
    return True


def _plain(name: str) -> str:
    """A file name that is a store key."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", name).lstrip(".") or "recording"


def _noted(store: Store, note: str) -> str | None:
    try:
        return str(json.loads(store.read(note))["sha256"])
    except (KeyMissingError, ValueError, KeyError):
        return None
