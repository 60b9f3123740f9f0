"""Recordings from this machine into the run, so that pods can read them: resumable, and checked by digest.

A recording of many gigabytes over an office line will be interrupted. On S3 it goes up in parts, and starting again
sends only the parts that the server does not hold; a part counts as held when its ETag is the MD5 of the same bytes
here (where a server encrypts in a way that changes ETags, parts are sent again: slower, never wrong). When all is there
a note with the file's sha256 is written beside it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.run import layout
from leicos_jobs.run.config import RunConfig
from leicos_jobs.store import KeyMissingError, Store
from leicos_jobs.store.s3 import S3Store
from leicos_jobs.work.sources import RUN_PREFIX

FOLDER = layout.SOURCES.rpartition("/")[0]
PART_BYTES = 32 << 20
PARTS_MAX = 9000
"""S3 allows 10,000."""
SENDERS = 4
CHECKSUMS = ("ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME", "ChecksumSHA1", "ChecksumSHA256")


@dataclass(frozen=True)
class Source:
    """A local recording and where it goes."""

    path: Path
    sha256: str
    key: str


def plan_sources(config: RunConfig) -> tuple[RunConfig, list[Source]]:
    """The configuration as pods need it, and what must be uploaded for that. Raises InputError for a missing file.

    Names depend on the files alone, so that submitting again gives the same configuration.
    """
    found: dict[str, Source] = {}
    names = []
    for name in config.source.files:
        if "://" in name or name.startswith(RUN_PREFIX):
            names.append(name)
            continue
        path = Path(name)
        if not path.is_file():
            raise InputError(f"source.files: {name} does not exist", fix="correct it in the configuration")
        sha256 = sha256_file(path)
        key = f"{FOLDER}/{_plain(path.name)}"
        if key in found and found[key].sha256 != sha256:
            key = f"{FOLDER}/{sha256[:12]}-{_plain(path.name)}"
        found[key] = Source(path, sha256, key)
        names.append(f"{RUN_PREFIX}{key}")
    source = config.source.model_copy(update={"files": tuple(names)})
    return config.model_copy(update={"source": source}), list(found.values())


def upload(store: Store, source: Source, *, replace: bool = False) -> bool:
    """Bring a recording into the run; False if it was there. Raises InputError if another one stands in its place."""
    note = f"{source.key}.sha256.json"
    size = source.path.stat().st_size
    there = _noted(store, note)
    if there == source.sha256 and store.size(source.key) == size:
        return False
    if there is not None and there != source.sha256 and not replace:
        raise InputError(
            f"{store.uri}/{source.key} was uploaded from another file than {source.path} is now",
            fix="use another run URI, or add --amend to replace it",
        )
    if isinstance(store, S3Store) and size > PART_BYTES:
        _PartStore(store.bucket, store.prefix).upload_parts(source.key, source.path)
    else:
        store.upload(source.key, source.path)
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


class _PartStore(S3Store):
    """An S3 store that goes on with an upload which somebody began."""

    def upload_parts(self, key: str, path: Path) -> None:
        """Send what is missing of a file's parts, then make the object of them."""
        size = path.stat().st_size
        length = max(PART_BYTES, math.ceil(size / PARTS_MAX))
        count = math.ceil(size / length)
        identity = self._call(key, lambda: self._begun(key)) or self._call(key, lambda: self._begin(key))
        held = {part["PartNumber"]: part for part in self._call(key, lambda: list(self._parts(key, identity)))}

        def one(number: int) -> dict[str, Any]:
            with path.open("rb") as stream:
                stream.seek((number - 1) * length)
                piece = stream.read(length)
            if (part := held.get(number)) and part["ETag"].strip('"') == hashlib.md5(piece).hexdigest():
                return dict(part)
            sent = self._call(key, lambda: self._send(key, identity, number, piece))
            logs.event("upload.part", key=key, part=f"{number}/{count}")
            return {"PartNumber": number, **sent}

        with ThreadPoolExecutor(SENDERS) as pool:
            done = list(pool.map(one, range(1, count + 1)))
        names = ("PartNumber", "ETag", *CHECKSUMS)
        parts = [{name: part[name] for name in names if part.get(name)} for part in done]
        self._call(key, lambda: self._complete(key, identity, parts))

    def _begun(self, key: str) -> str | None:
        """The latest unfinished upload of this key."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self._key(key))
        own = [item for page in pages for item in page.get("Uploads", []) if item["Key"] == self._key(key)]
        return str(max(own, key=lambda item: item["Initiated"])["UploadId"]) if own else None

    def _begin(self, key: str) -> str:
        return str(self._client.create_multipart_upload(Bucket=self.bucket, Key=self._key(key))["UploadId"])

    def _parts(self, key: str, identity: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self.bucket, Key=self._key(key), UploadId=identity
        )
        for page in pages:
            yield from page.get("Parts", [])

    def _send(self, key: str, identity: str, number: int, piece: bytes) -> dict[str, Any]:
        return dict(
            self._client.upload_part(
                Bucket=self.bucket, Key=self._key(key), UploadId=identity, PartNumber=number, Body=piece
            )
        )

    def _complete(self, key: str, identity: str, parts: list[dict[str, Any]]) -> None:
        self._client.complete_multipart_upload(
            Bucket=self.bucket, Key=self._key(key), UploadId=identity, MultipartUpload={"Parts": parts}
        )
