"""Datasets of any LeRobot version merged into one, here or in S3."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError, writing
from leicos_jobs.formats.lerobot_layout import INFO
from leicos_jobs.formats.lerobot_merge import V20, Part, open_part, require_alike
from leicos_jobs.formats.lerobot_merge_v21 import merge_v21
from leicos_jobs.formats.lerobot_merge_v30 import merge_v30
from leicos_jobs.formats.lerobot_v21 import VERSION as V21
from leicos_jobs.formats.lerobot_v30 import VERSION as V30
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.store import S3, Store, open_store
from leicos_jobs.work.datasets import local_dataset

Progress = Callable[[int, int], None]


def merge(
    names: Sequence[str], out: str, *, version: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Merge datasets and runs, in the order given, into the new folder or S3 prefix `out`; returns its info.json.

    version: v2.1 or v3.0; None: v3.0 if one of them is. v2.x datasets are exported first where v3.0 is wanted: their
    pictures are then decoded, once, for the quantiles that v3.0 has. progress: called with (episodes done, in all).
    Raises InputError: nothing to merge, `out` is not empty, datasets that differ; then nothing stays.
    """
    if len(names) < 2:
        raise InputError("merge takes two datasets or more", fix="leicos merge A B --out C")
    with tempfile.TemporaryDirectory(prefix="leicos-") as folder:
        scratch = Path(folder)
        store = open_store(out) if out.startswith(S3) else None
        _require_empty(out, store)
        parts = [open_part(name, local_dataset(name, scratch)) for name in names]
        require_alike(parts)
        wanted = version or (V30 if any(part.version == V30 for part in parts) else V21)
        target = scratch / "merged" if store else Path(out)
        with writing(target):
            try:
                info = _merged(parts, wanted, target, scratch, progress)
                if store:
                    _upload(target, store)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
        return info


def _merged(parts: Sequence[Part], version: str, out: Path, scratch: Path, progress: Progress | None) -> dict[str, Any]:
    if version == V30:
        parts = [_exported(part, scratch / f"v30-{number}") for number, part in enumerate(parts)]
    features = require_alike(parts)
    total = sum(len(part.dataset.entries) for part in parts)
    out.parent.mkdir(parents=True, exist_ok=True)
    write = merge_v30 if version == V30 else merge_v21
    return write(parts, features, out, (lambda done: progress(done, total)) if progress else None)


def _exported(part: Part, folder: Path) -> Part:
    """A dataset as v3.0."""
    root = part.dataset.root
    if part.version == V30:
        return part
    if part.version == V20:
        raised = folder.with_name(f"{folder.name}-{V21}")
        merge_v21([part], require_alike([part]), raised)
        root = raised
    export_v30(root, folder, decode=False)
    return Part(part.name, open_part(part.name, folder).dataset)


def _require_empty(out: str, store: Store | None) -> None:
    if store:
        taken = next(store.list(""), None) is not None
    else:
        path = Path(out)
        taken = path.exists() and (not path.is_dir() or any(path.iterdir()))
        if not taken and path.is_dir():
            path.rmdir()  # the writers make it
    if taken:
        raise InputError(f"{out}: is not empty", fix="give a new folder")


def _upload(folder: Path, store: Store) -> None:
    """info.json goes last: without it the rest is not a dataset."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / INFO)
    for path in [*paths, folder / INFO]:
        store.upload(path.relative_to(folder).as_posix(), path)
