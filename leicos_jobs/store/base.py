"""The store contract. Commits rest on `create`; everything else is plain reading and writing of whole objects.

A key is a relative path of ASCII letters, digits and `._-=` between slashes: no `..`, no leading slash, so that user
text can never leave the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from leicos_jobs.core.errors import DefectError, LeicosError

_KEY = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")


class KeyMissingError(LeicosError):
    """No object has this key (yet)."""


def checked(key: str) -> str:
    """Return the key if it is well-formed, else raise DefectError: keys are made by the layout, never by users."""
    if not _KEY.fullmatch(key):
        raise DefectError(f"malformed store key {key!r}")
    return key


class Store(Protocol):
    """Both implementations pass `leicos_jobs.testing.store_contract`."""

    uri: str

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyMissingError."""
        ...

    def size(self, key: str) -> int | None:
        """Size in bytes, None if there is no such object."""
        ...

    def create(self, key: str, data: bytes) -> bytes:
        """Write unless the key exists, atomically; return the bytes that stand there afterwards.

        The caller won if they are its own, also when its PUT was retried and had already succeeded. Where a server
        lacks conditional writes two callers may both believe that they won: double work, never a torn object.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or replace, atomically (heartbeats, caches, pointers: never a commit)."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write a file's bytes, atomically. Keys are named by content, so replacing is harmless."""
        ...

    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's bytes, under `scratch` or the store's own file (never write to it)."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that start with `prefix`, in order. May lag behind writes of others; no commit rests on it."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; no error if there is none."""
        ...
