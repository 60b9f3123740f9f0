"""Small objects by obstore, a client in Rust: a tenth of boto3's CPU per request, and without Python's lock.

boto3 stays the client that users configure: this one is made from a boto3 client (its address, credentials, region and
certificates), and whatever it cannot do or is refused, boto3 is asked again. So refusals, retries and everything
unusual have one owner.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import obstore
from botocore.exceptions import BotoCoreError
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from leicos_jobs.store.s3.settings import CA_BUNDLE, Settings

AT_MOST = 8 << 20
"""Bytes of an object that is sent or kept in one piece; boto3 carries larger ones in parts."""
_PLAIN = re.compile(r"[A-Za-z0-9._=/-]+")
"""Keys that every client writes into a URL alike."""
_PROBE = "x"
_CREDENTIALS_LAST = timedelta(minutes=5)
"""After this botocore is asked again; it renews temporary credentials ten minutes before they expire."""
_TIMEOUTS = {"connect_timeout": "10s", "timeout": "60s"}


class MissingError(Exception):
    """The bucket is there, the object is not."""


class SmallObjects:
    """The objects of one bucket. Each method says by None that boto3 is to be asked."""

    def __init__(self, store: obstore.store.S3Store | None, *, reads: bool, writes: bool) -> None:
        self._reads = store if reads else None
        self._writes = store if writes else None

    @classmethod
    def beside(cls, client: Any, session: botocore.session.Session, settings: Settings, bucket: str) -> SmallObjects:
        """For a boto3 client of this session.

        Writes with encryption or with checksums, and reads whose checksums are to be compared, are boto3's: the
        settings ask for what obstore writes in another way.
        """
        try:
            address = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _PROBE}))
            store = obstore.store.S3Store(
                bucket,
                config={
                    "endpoint": f"{address.scheme}://{address.netloc}",
                    "virtual_hosted_style_request": address.path == f"/{_PROBE}",  # the bucket is in the host's name
                    "region": client.meta.region_name or "us-east-1",
                    "disable_tagging": True,
                },
                client_options=_options(address.scheme),
                retry_config={"max_retries": 0},
                credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_LAST),
            )
        except (BotoCoreError, BaseError, OSError, ValueError):
            store = None  # no credentials, or an odd address: boto3 explains it
        return cls(
            store,
            reads=settings.response_checksum == "when_required",
            writes=settings.request_checksum == "when_required" and not settings.encryption,
        )

    def read(self, name: str) -> bytes | None:
        """An object's bytes. Raises MissingError."""
        return self._get(name, None)

    def read_small(self, name: str) -> bytes | None:
        """The same, None also if it is larger than AT_MOST; nothing but its beginning is sent then."""
        return self._get(name, AT_MOST)

    def _get(self, name: str, limit: int | None) -> bytes | None:
        if self._reads is None or not _PLAIN.fullmatch(name):
            return None
        try:
            answer = obstore.get(self._reads, name)
            if limit is not None and answer.meta["size"] > limit:
                return None
            return bytes(answer.bytes())
        except FileNotFoundError as error:
            if "NoSuchKey" in str(error):
                raise MissingError from error
            return None
        except (BaseError, OSError):
            return None

    def upload(self, name: str, path: Path) -> bool | None:
        """Write a file's bytes: whether they were written. A file that boto3 is to send is not read."""
        if self._writes is None or path.stat().st_size > AT_MOST:
            return None
        return self.write(name, path.read_bytes())

    def write(self, name: str, data: bytes, *, absent: bool = False) -> bool | None:
        """Write an object, with `absent` only if there is none: whether it was written."""
        if self._writes is None or not _PLAIN.fullmatch(name) or len(data) > AT_MOST:
            return None
        try:
            obstore.put(self._writes, name, data, mode="create" if absent else "overwrite", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        except (BaseError, OSError):
            return None
        return True


def _options(scheme: str) -> Any:
    options: dict[str, Any] = {"allow_http": scheme == "http", **_TIMEOUTS}
    if bundle := os.environ.get(CA_BUNDLE):
        options["root_certificate"] = Path(bundle).read_bytes()
    return options
