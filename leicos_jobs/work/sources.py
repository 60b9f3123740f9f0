"""Recordings as the configuration names them: local files, or objects that are staged on the pod's disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from leicos_jobs.core.digests import sha256_bytes
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.opened import Run
from leicos_jobs.store import S3, KeyMissingError, is_key, open_object

RUN_PREFIX = "run:"
"""`run:source/demos.hdf5` is a file inside the run itself, as `leicos submit` uploads it."""


def fetch_source(name: str, run: Run, scratch: Path) -> Path:
    """A local path of a source file. Raises InputError if there is none."""
    if name.startswith(RUN_PREFIX):
        store, key = run.store, name.removeprefix(RUN_PREFIX)
        if not is_key(key):
            raise InputError(f"source file {name} lies outside the run", fix=f"write {RUN_PREFIX}source/NAME")
    elif name.startswith(S3):
        store, key = open_object(name)
    else:
        path = Path(name)
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises over a name too long
            folder = os.path.isdir(path)  # noqa: PTH112
            what = "is a folder, not a recording" if folder else "does not exist"
            raise InputError(f"source file {name} {what}", fix="correct source.files in the configuration")
        return path
    # a folder of its own: two sources may have the same file name
    place = scratch / sha256_bytes(name.encode())[:16]
    target = place / Path(key).name
    if target.exists():
        return target
    scratch.mkdir(parents=True, exist_ok=True)
    _require_room(name, store.size(key) or 0, scratch)
    try:
        fetched = store.fetch(key, place)
    except KeyMissingError:
        raise InputError(f"source file {name} does not exist", fix="upload it or correct source.files") from None
    return fetched.replace(target) if fetched.parent == place else fetched


def _require_room(name: str, size: int, scratch: Path) -> None:
    """A download that cannot fit is an error of the set-up: trying again would fill the disk again."""
    free = shutil.disk_usage(scratch).free
    if size > free:
        raise InputError(
            f"{name}: has {size / 1e9:.1f} GB, and {scratch} has room for {free / 1e9:.1f} GB",
            fix="raise pools.cpu.scratch.size of the chart, or name a larger disk by TMPDIR",
        )
