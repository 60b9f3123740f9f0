"""The store contract. Commits rest on `create`; everything else is plain reading and writing of whole objects.

A key is a relative path between slashes: no empty, `.` or `..` segment, no control character, nothing in the folder
`.partial`; so no name can leave the root. The layout makes keys of ASCII letters, digits and `._-=`; recordings and
checkpoints that stand in a store already may have any other name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from leicos_jobs.core.errors import DefectError, LeicosError

PARTIAL = ".partial"
"""The folder, in a store's root, of writes that are not finished."""


class KeyMissingError(LeicosError):
    """No object has this key (yet)."""


def is_key(text: str) -> bool:
    """Whether a text can be a key."""
    parts = text.split("/")
    if any(part in ("", ".", "..") for part in parts) or parts[0] == PARTIAL or text != text.strip():
        return False
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def checked(key: str) -> str:
    """Return the key if it is well-formed, else raise DefectError: what users name was checked before."""
    if not is_key(key):
        raise DefectError(f"malformed store key {key!r}")
    return key


class Store(Protocol):
    """Both implementations derive from it and pass `leicos_jobs.testing.store_contract`."""

    uri: str

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyMissingError."""

    def size(self, key: str) -> int | None:
        """Size in bytes, None if there is no such object."""

    def fingerprint(self, key: str) -> str | None:
        """What tells an object's content from another's, as cheaply as the store can: None if there is none."""

    def link_latest(self, folder: str) -> None:
        """Where the store can have links: name this folder `latest` beside it, for people; a folder that is not there
        leaves no such name. Nothing reads it."""
        return

    def create(self, key: str, data: bytes) -> bytes:
        """Write unless the key exists, atomically; return the bytes that stand there afterwards.

        The caller won if they are its own, also when its PUT was retried and had already succeeded. Where a server
        lacks conditional writes two callers may both believe that they won: double work, never a torn object.
        """

    def put(self, key: str, data: bytes) -> None:
        """Write or replace, atomically (heartbeats, caches, pointers: never a commit)."""

    def upload(self, key: str, path: Path) -> None:
        """Write a file's bytes, atomically. Keys are named by content, so replacing is harmless."""

    def upload_resumable(self, key: str, path: Path) -> None:
        """The same for a large file over a slow line: going on after an interruption sends only what is missing."""
        self.upload(key, path)

    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's bytes, under `scratch` or the store's own file (never write to it)."""

    def release(self, path: Path) -> None:
        """A file that `fetch` gave is no longer needed: a copy is removed, the store's own file stays."""
        return

    def local(self, key: str) -> Path | None:
        """The path at which the store itself keeps an object or a folder of them; None if it is not on this machine."""
        checked(key)
        return None

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`, in order. May lag behind writes of others; no commit rests on it."""

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
