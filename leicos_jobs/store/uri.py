"""From a URI to a store: `s3://bucket/prefix` or a local path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

from leicos_jobs.core.errors import InputError
from leicos_jobs.store.base import Store
from leicos_jobs.store.folder import FolderStore


def open_store(uri: str) -> Store:
    """Open the store at a URI. Raises InputError for a scheme that is neither s3 nor a path."""
    parsed = urlparse(uri)
    if parsed.scheme == "s3":
        if not parsed.netloc or not parsed.path.strip("/"):
            raise InputError(f"{uri}: a run needs a bucket and a prefix", fix="write s3://bucket/folder/run-id")
        from leicos_jobs.store.s3 import S3Store

        return S3Store(parsed.netloc, parsed.path.strip("/"))
    if parsed.scheme in ("", "file"):
        return FolderStore(Path(parsed.path if parsed.scheme else uri).expanduser())
    raise InputError(f"{uri}: unknown scheme {parsed.scheme!r}", fix="use a local path or s3://bucket/prefix")
