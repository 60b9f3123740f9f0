"""A store in a folder. A commit is a temporary file, fsync, hard link to the final name, fsync of the directory.

`link` fails if the name exists, which is what `create` needs and `rename` cannot give. Partials that a SIGKILL leaves
behind lie in `.partial/`, apart from every key.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError, LeicosError, RetryError, writing
from leicos_jobs.store.base import PARTIAL, KeyMissingError, Store, checked

LATEST = "latest"


class FolderStore(Store):
    """Store rooted at a directory, made on first write."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        with self._reading(key) as path:
            return path.read_bytes()

    def size(self, key: str) -> int | None:
        """See `Store.size`."""
        with suppress(KeyMissingError), self._reading(key) as path:
            return path.stat().st_size
        return None

    def fingerprint(self, key: str) -> str | None:
        """See `Store.fingerprint`: the digest of the bytes."""
        with suppress(KeyMissingError), self._reading(key) as path:
            return f"sha256:{sha256_file(path)}" if path.is_file() else None  # a pipe or device would never end
        return None

    def link_latest(self, folder: str) -> None:
        """See `Store.link_latest`."""
        target = self._path(folder)
        link = target.with_name(LATEST)
        if not target.is_dir():
            link.unlink(missing_ok=True)
            return
        with self._partial(link) as partial:
            partial.symlink_to(target.name, target_is_directory=True)
            partial.replace(link)

    def create(self, key: str, data: bytes) -> bytes:
        """See `Store.create`."""
        final = self._path(key)
        with self._partial(final) as partial:
            _write(partial, data)
            try:
                os.link(partial, final)
            except FileExistsError:
                return self.read(key)
            _sync_folder(final.parent)
        return data

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        final = self._path(key)
        with self._partial(final) as partial:
            _write(partial, data)
            partial.replace(final)
            _sync_folder(final.parent)

    def upload(self, key: str, path: Path) -> None:
        """See `Store.upload`."""
        final = self._path(key)
        with self._partial(final) as partial:
            shutil.copyfile(path, partial)
            with partial.open("rb+") as stream:
                os.fsync(stream.fileno())
            partial.replace(final)
            _sync_folder(final.parent)

    def fetch(self, key: str, scratch: Path) -> Path:
        """See `Store.fetch`: the file itself."""
        path = self._path(key)
        if not path.is_file():
            raise KeyMissingError(f"no object {key} in {self.uri}")
        return path

    def local(self, key: str) -> Path | None:
        """See `Store.local`."""
        return self._path(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See `Store.list`."""
        folder = self.root / prefix.rpartition("/")[0]
        if not folder.is_dir():
            return
        keys = []
        for parent, folders, names in os.walk(folder):
            if PARTIAL in folders:
                folders.remove(PARTIAL)
            base = Path(parent).relative_to(self.root).as_posix()
            keys += [name if base == "." else f"{base}/{name}" for name in names]
        yield from sorted(key for key in keys if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        with writing(path), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    @contextmanager
    def _reading(self, key: str) -> Iterator[Path]:
        """The path of an object that is read. Maps what the file system says to errors with a fix."""
        path = self._path(key)
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError):
            raise KeyMissingError(f"no object {key} in {self.uri}") from None
        except OSError as error:
            raise _unreadable(path, error) from error

    @contextmanager
    def _partial(self, final: Path) -> Iterator[Path]:
        """A temporary path on the same file system; gone afterwards. Maps disk errors to errors with a fix."""
        partial = self.root / PARTIAL / uuid.uuid4().hex
        try:
            with writing(final):
                partial.parent.mkdir(parents=True, exist_ok=True)
                final.parent.mkdir(parents=True, exist_ok=True)
                yield partial
        finally:
            with suppress(OSError):  # the first error is the one to report
                partial.unlink(missing_ok=True)


def _unreadable(path: Path, error: OSError) -> LeicosError:
    if isinstance(error, PermissionError):
        return InputError(f"cannot read {path}: {error.strerror}", fix="choose a folder that you may read")
    if isinstance(error, IsADirectoryError) or error.errno == errno.ENAMETOOLONG:
        return InputError(f"cannot read {path}: {error.strerror}", fix="check the path")
    return RetryError(f"cannot read {path}: {error.strerror}", fix="check the disk and start again")


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
