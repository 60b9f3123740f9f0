"""A store in S3 or a server that speaks it. `create` is a PUT with `If-None-Match: *`.

Endpoint, region and credentials come from the environment as boto3 reads it (AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL,
AWS_REGION, AWS_ACCESS_KEY_ID ...; workload identity needs nothing). The CRT transfer client is not used: it ignores
endpoint_url (boto3 issue 4839).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError, LeicosError, RetryError, writing
from leicos_jobs.store.base import KeyMissingError, checked

T = TypeVar("T")
_MISSING = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
_TRANSFER = TransferConfig(multipart_chunksize=32 << 20, multipart_threshold=32 << 20, io_chunksize=1 << 20)


class S3Store:
    """Store rooted at s3://bucket/prefix."""

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.uri = f"s3://{bucket}/{prefix}"
        self._client = client or boto3.session.Session().client(
            "s3",
            config=Config(
                retries={"max_attempts": 8, "mode": "standard"},
                s3={"addressing_style": "path"},
                connect_timeout=10,
                max_pool_connections=32,
            ),
        )

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{checked(key)}"

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        return self._call(key, lambda: bytes(self._get(key)["Body"].read()))

    def _get(self, key: str) -> Any:
        return self._client.get_object(Bucket=self.bucket, Key=self._key(key))

    def size(self, key: str) -> int | None:
        """See `Store.size`."""
        try:
            return self._call(
                key, lambda: int(self._client.head_object(Bucket=self.bucket, Key=self._key(key))["ContentLength"])
            )
        except KeyMissingError:
            return None

    def create(self, key: str, data: bytes) -> bytes:
        """See `Store.create`. 412: the key exists, perhaps by our own retried PUT; 409: another PUT is under way."""
        for _attempt in range(8):
            try:
                self._call(
                    key,
                    lambda: self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data, IfNoneMatch="*"),
                )
                return data
            except _ConflictError:
                try:
                    return self.read(key)
                except KeyMissingError:
                    continue
            except _UnsupportedError:
                try:
                    return self.read(key)
                except KeyMissingError:
                    self.put(key, data)
                    return data
        raise RetryError(f"{self.uri}/{key}: the server keeps answering 409", fix="start again")

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        self._call(key, lambda: self._client.put_object(Bucket=self.bucket, Key=self._key(key), Body=data))

    def upload(self, key: str, path: Path) -> None:
        """See `Store.upload`; several parts for large files."""
        self._call(key, lambda: self._client.upload_file(str(path), self.bucket, self._key(key), Config=_TRANSFER))

    def fetch(self, key: str, scratch: Path) -> Path:
        """See `Store.fetch`: downloaded under a name of its own, since a reader may hold an older one open. A notice to
        stop ends it at once: a checkpoint takes minutes, and a spot node gives 15 s."""

        def progress(_bytes: int) -> None:
            signals.check()

        path = scratch / f"{uuid.uuid4().hex[:8]}-{Path(key).name}"
        with writing(path):
            scratch.mkdir(parents=True, exist_ok=True)
            where = (self.bucket, self._key(key), str(path))
            self._call(key, lambda: self._client.download_file(*where, Callback=progress, Config=_TRANSFER))
        return path

    def list(self, prefix: str) -> Iterator[str]:
        """See `Store.list`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}/{prefix}"
        )
        pager = iter(pages)
        while (page := self._call(prefix, lambda: next(pager, None))) is not None:
            for item in page.get("Contents", []):
                yield item["Key"][len(self.prefix) + 1 :]

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._call(key, lambda: self._client.delete_object(Bucket=self.bucket, Key=self._key(key)))

    def _call(self, key: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except ClientError as error:
            raise self._explain(key, error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise InputError(
                f"{self.uri}: no S3 credentials ({error})",
                fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a workload identity",
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ClientError):
                raise self._explain(key, cause) from error
            raise RetryError(f"{self.uri}/{key}: {error}", fix="check the endpoint; start again") from error

    def _explain(self, key: str, error: ClientError) -> LeicosError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            return InputError(f"bucket {self.bucket!r} does not exist", fix="create it or correct the run's URI")
        if code in _MISSING:
            return KeyMissingError(f"no object {key} in {self.uri}")
        if code in _DENIED:
            return InputError(
                f"{self.uri}: access denied ({code})",
                fix="check the S3 credentials and that they may Get, Put, Delete and List under this prefix",
            )
        if code == "PreconditionFailed" or status in (409, 412):
            return _ConflictError(code)
        if code == "NotImplemented" or status == 501:
            return _UnsupportedError(code)
        return RetryError(f"{self.uri}/{key}: {code or status}: {error}", fix="start again; committed work is kept")


class _ConflictError(LeicosError):
    """The key exists or is being written."""


class _UnsupportedError(LeicosError):
    """The server does not know conditional writes."""
