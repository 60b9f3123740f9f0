"""Sources as the configuration names them: local files and folders, or objects that are staged on the pod's disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from leicos_jobs.core.digests import sha256_bytes, sha256_file, sha256_folder
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.sources import SourceDemo
from leicos_jobs.run import inputs
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.store import S3, KeyMissingError, open_object, open_store


def fetch_source(name: str, run: Run, scratch: Path, *, whole: bool = False) -> Path:
    """A local path of a source. whole: compare all of its bytes with what the run began with; otherwise the reader
    compares what it takes. Raises InputError if there is none, or if it is another one by now."""
    if (dataset := inputs.dataset_folder(name, run.store)) is not None:
        return _fetch_dataset(name, dataset, run, scratch, whole)
    place = inputs.locate(name, run.store)
    if isinstance(place, Path):
        path = place
    else:
        store, key = place
        # a folder of its own: two sources may have the same file name
        folder = scratch / sha256_bytes(name.encode())[:16]
        path = folder / Path(key).name
        if path.exists():
            return path
        scratch.mkdir(parents=True, exist_ok=True)
        _require_room(name, store.size(key) or 0, scratch)
        try:
            fetched = store.fetch(key, folder)
        except KeyMissingError:
            raise InputError(f"source file {name} does not exist", fix="upload it or correct source.files") from None
        path = fetched.replace(path) if fetched.parent == folder else fetched
        if not run.inputs[name].startswith("sha256:"):
            inputs.require_same(name, inputs.of_file(name, run.store), run.inputs[name])
    if whole and run.inputs[name].startswith("sha256:"):
        inputs.require_same(name, f"sha256:{sha256_file(path)}", run.inputs[name])
    return path


def _fetch_dataset(name: str, folder: str, run: Run, scratch: Path, whole: bool) -> Path:
    """A dataset's folder: where it is, or staged."""
    pinned = run.inputs[name]
    if whole:
        inputs.require_same(name, inputs.of_source(name, run.store), pinned)
    if "://" not in folder:
        return Path(folder)
    path = staged_folder(folder, scratch)
    if whole and pinned.startswith("sha256:"):  # uploaded: so far only its note was read
        inputs.require_same(name, f"sha256:{sha256_folder(path)}", pinned)
    return path


def staged_folder(uri: str, scratch: Path) -> Path:
    """A copy of all that lies at an s3:// prefix, in a folder of its own in `scratch`. Raises InputError."""
    folder = scratch / sha256_bytes(uri.encode())[:16] / uri.rstrip("/").rpartition("/")[2]
    if folder.exists():
        return folder
    store = open_store(uri)
    keys = list(store.list(""))
    scratch.mkdir(parents=True, exist_ok=True)
    _require_room(uri, sum(store.size(key) or 0 for key in keys), scratch)
    part = folder.with_name(".part")
    for key in keys:
        target = part / key
        target.parent.mkdir(parents=True, exist_ok=True)
        store.fetch(key, target.parent).replace(target)
    part.rename(folder)
    return folder


@contextmanager
def staged(names: Sequence[str]) -> Iterator[list[Path]]:
    """Sources that no run names, on this machine: paths as they are, and copies of objects and prefixes in S3.

    Raises InputError.
    """
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        yield [_staged(name, Path(scratch)) for name in names]


def _staged(name: str, scratch: Path) -> Path:
    if not name.startswith(S3):
        return Path(name)
    store, key = open_object(name.removesuffix("/"))
    folder = inputs.dataset_folder(name, store)
    if folder is not None:
        return staged_folder(folder, scratch)
    try:
        return store.fetch(key, scratch)
    except KeyMissingError:
        raise InputError(f"{name}: no such object or dataset", fix="check the URI") from None


def require_demo(demo: SourceDemo, episode: Episode) -> None:
    """Raise InputError if a demo's tables are not those that were converted."""
    if demo.problem is not None or demo.tables_sha256() != episode.tables_sha256:
        raise InputError(
            f"{demo.file}: {demo.name} is not the demo that was converted",
            fix="start the run again with --amend: the recording is then converted again",
        )


def _require_room(name: str, size: int, scratch: Path) -> None:
    """A download that cannot fit is an error of the set-up: trying again would fill the disk again."""
    free = shutil.disk_usage(scratch).free
    if size > free:
        raise InputError(
            f"{name}: has {size / 1e9:.1f} GB, and {scratch} has room for {free / 1e9:.1f} GB",
            fix="raise pools.cpu.scratch.size of the chart, or name a larger disk by TMPDIR",
        )
