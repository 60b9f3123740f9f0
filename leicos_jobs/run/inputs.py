"""What a configuration names outside the run, by what it holds: a name is never an input.

`leicos start` (and `leicos run`, `leicos submit`) notes a fingerprint of every recording and checkpoint in run.json.
Keys contain the fingerprints. What changed under its name is refused until the run is amended, and noticed again where
it is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from leicos_jobs.backends import registry
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.robots.embodiment import Embodiment, embodiment, is_file, parse
from leicos_jobs.run.config import RunConfig
from leicos_jobs.store import S3, KeyMissingError, Store, is_key, open_object, open_store

RUN_PREFIX = "run:"
"""`run:source/demos.hdf5` is a file inside the run itself, as `leicos submit` uploads it."""
FILES = (".hdf5", ".h5", ".hdf")
"""Ends of the names of recordings; others are looked at: they may be folders."""
BESIDE = "held_out/"
"""Files beside an IDM's artifact that are not part of it."""


def upload_note(key: str) -> str:
    """Key of the note about an uploaded file: its sha256 and size."""
    return f"{key}.sha256.json"


def names(config: RunConfig) -> tuple[str, ...]:
    """Everything outside the run that a configuration names, in order."""
    robot = [config.source.robot] if is_file(config.source.robot) else []
    return tuple(dict.fromkeys((*config.source.files, *robot, *folders(config))))


def folders(config: RunConfig) -> tuple[str, ...]:
    """Those of them that are folders: checkpoints, and what the generator takes its videos from."""
    checkpoints = (config.generate.checkpoint, config.idm.checkpoint)
    named = tuple(name for name in checkpoints if name)
    try:
        backend = registry.load("generate", config.generate.backend)
        settings = registry.settings("generate", config.generate.backend, config.generate.settings)
    except InputError as error:
        if isinstance(error.__cause__, ImportError):  # not installed where the run is submitted; pods look
            return named
        raise
    return (*named, *backend.folders(settings))


def fingerprints(config: RunConfig, store: Store, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Fingerprint of each of them. store: the run's own. known: those that need not be looked at again.

    Raises InputError that names the first one that is not there.
    """
    given = known or {}
    places = set(folders(config))

    def fingerprint(name: str) -> str:
        if name in places:
            return of_folder(name)
        return of_source(name, store) if name in config.source.files else of_file(name, store)

    return {name: given.get(name) or fingerprint(name) for name in names(config)}


def robot(config: RunConfig, store: Store, pinned: Mapping[str, str]) -> Embodiment:
    """The robot that a configuration names: a shipped one, or one from a file. pinned: fingerprints that the run began
    with. Raises InputError."""
    name = config.source.robot
    if not is_file(name):
        return embodiment(name)
    place = locate(name, store)
    data = read_file(place) if isinstance(place, Path) else place[0].read(place[1])
    if name in pinned:
        require_same(name, of_file(name, store), pinned[name])
    return parse(data, name)


def locate(name: str, store: Store) -> tuple[Store, str] | Path:
    """Where a file is: a store and a key in it, or a path. Raises InputError for a path without a file."""
    if name.startswith(RUN_PREFIX):
        key = name.removeprefix(RUN_PREFIX)
        if not is_key(key):
            raise InputError(f"source file {name} lies outside the run", fix=f"write {RUN_PREFIX}source/NAME")
        return store, key
    if name.startswith(S3):
        return open_object(name)
    if not os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises over a name too long
        what = "is a folder, not a file" if os.path.isdir(name) else "does not exist"  # noqa: PTH112
        raise InputError(f"source file {name} {what}", fix="correct source.files in the configuration")
    return Path(name)


def dataset_folder(name: str, store: Store) -> str | None:
    """Path or URI of a source that is a LeRobot dataset's folder; None if it is a file. Raises InputError."""
    if name.lower().endswith(FILES):
        return None
    if name.startswith((RUN_PREFIX, S3)):
        place = locate(name.removesuffix("/"), store)
        where, key = place if not isinstance(place, Path) else (store, str(place))
        from leicos_jobs.formats.lerobot_layout import INFO  # brings pyarrow

        return f"{where.uri}/{key}" if where.size(f"{key}/{INFO}") is not None else None
    return name if os.path.isdir(name) else None  # noqa: PTH112 - Path.is_dir raises over a name too long


def of_source(name: str, store: Store) -> str:
    """Fingerprint of a source of demos: of a file, or of all files of a dataset's folder. Raises InputError."""
    uploaded = name.startswith(RUN_PREFIX)  # its note tells
    folder = None if uploaded else dataset_folder(name, store)
    return of_folder(folder) if folder else of_file(name, store)


def of_file(name: str, store: Store) -> str:
    """Fingerprint of a file: sha256 of its bytes, or what the server says of an object's (ETag and size)."""
    place = locate(name, store)
    if isinstance(place, Path):
        return _of_path(place)
    where, key = place
    if name.startswith(RUN_PREFIX):
        note = upload_note(key)
        try:
            return f"sha256:{parsed_json(where.read(note), f'{where.uri}/{note}')['sha256']}"
        except (KeyMissingError, KeyError, TypeError):
            pass  # not uploaded by us
    found = where.fingerprint(key)
    if found is None:
        raise InputError(f"source file {name} does not exist", fix="upload it or correct source.files")
    return found


def read_file(path: Path) -> bytes:
    """All of a file. Raises InputError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", fix="choose a file that you may read") from None


def _of_path(path: Path) -> str:
    try:
        return f"sha256:{sha256_file(path)}"
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", fix="choose a file that you may read") from None


def of_folder(uri: str) -> str:
    """Fingerprint of a folder or prefix: of all its files but those beside an artifact. Raises InputError."""
    store = open_store(uri)
    keys = [key for key in store.list("") if not key.startswith(BESIDE)]
    if not keys:
        raise InputError(f"there is no file at {uri}", fix="name the folder that holds the files")
    return "folder:" + digest_of({key: _of_object(store, key) for key in keys})


def _of_object(store: Store, key: str) -> str:
    found = store.fingerprint(key)
    if found is None:
        raise InputError(f"{store.uri}/{key} is not a file that can be read", fix="remove it, or name another folder")
    return found


def require_same(name: str, fingerprint: str, pinned: str) -> None:
    """Raise InputError if what is there now is not what the run began with."""
    if fingerprint != pinned:
        raise InputError(
            f"{name} has changed since the run was started",
            fix="start the run again with --amend: what depends on it is done again, the rest stays",
        )
