"""A large file over a slow line: sent in parts, and going on sends only those that the server does not hold.

A part counts as held when its ETag is the MD5 of the same bytes here. Where a server encrypts in a way that changes
ETags, parts are sent again: slower, never wrong.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.store.s3.reading import PART_BYTES

PARTS_MAX = 9000
"""S3 allows 10,000."""
SENDERS = 4
_PROOFS = (
    "PartNumber",
    "ETag",
    "ChecksumCRC32",
    "ChecksumCRC32C",
    "ChecksumCRC64NVME",
    "ChecksumSHA1",
    "ChecksumSHA256",
)


@dataclass(frozen=True)
class Upload:
    """The upload of one object. options: what is said when it begins, e.g. its encryption."""

    client: Any
    bucket: str
    key: str
    options: dict[str, str]

    def send(self, path: Path) -> None:
        """Send what is missing of a file's parts, then make the object of them. Raises botocore's errors."""
        size = path.stat().st_size
        length = max(PART_BYTES, math.ceil(size / PARTS_MAX))
        count = math.ceil(size / length)
        identity = self._begun() or self._begin()
        held = {part["PartNumber"]: part for part in self._held(identity)}

        def one(number: int) -> dict[str, Any]:
            with path.open("rb") as stream:
                stream.seek((number - 1) * length)
                piece = stream.read(length)
            if (part := held.get(number)) and part["ETag"].strip('"') == hashlib.md5(piece).hexdigest():
                return dict(part)
            sent = self.client.upload_part(**self._where(identity), PartNumber=number, Body=piece)
            logs.event("upload.part", key=self.key, part=f"{number}/{count}")
            return {"PartNumber": number, **sent}

        done = in_parallel(one, range(1, count + 1), SENDERS)
        parts = [{name: part[name] for name in _PROOFS if part.get(name)} for part in done]
        self.client.complete_multipart_upload(**self._where(identity), MultipartUpload={"Parts": parts})

    def _where(self, identity: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": identity}

    def _begun(self) -> str | None:
        """The latest unfinished upload of this key."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.key)
        own = [item for page in pages for item in page.get("Uploads", []) if item["Key"] == self.key]
        return str(max(own, key=lambda item: item["Initiated"])["UploadId"]) if own else None

    def _begin(self) -> str:
        begun = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key, **self.options)
        return str(begun["UploadId"])

    def _held(self, identity: str) -> Iterator[dict[str, Any]]:
        for page in self.client.get_paginator("list_parts").paginate(**self._where(identity)):
            yield from page.get("Parts", [])
