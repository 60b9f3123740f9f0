"""A store in S3. `create` is a PUT with `If-None-Match: *`; where a server has no conditions, a read before the PUT."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from leicos_jobs.core import signals
from leicos_jobs.core.errors import LeicosError, RetryError, writing
from leicos_jobs.store.base import KeyMissingError, Store, checked
from leicos_jobs.store.s3 import answers, reading
from leicos_jobs.store.s3.parts import Upload
from leicos_jobs.store.s3.reading import PART_BYTES
from leicos_jobs.store.s3.settings import connect
from leicos_jobs.store.s3.small import MissingError, SmallObjects

T = TypeVar("T")
_TRANSFER = TransferConfig(multipart_chunksize=PART_BYTES, multipart_threshold=PART_BYTES, io_chunksize=1 << 20)
_TRIES = 8


class S3Store(Store):
    """Store rooted at s3://bucket/prefix, or at the bucket itself."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.uri = f"s3://{bucket}/{prefix}".removesuffix("/")
        session, self._client, settings = connect()
        self._small = SmallObjects.beside(self._client, session, settings, bucket)
        self._options = settings.encryption
        self._conditions: bool | None = True if settings.enforces_conditions else None
        """Whether the server enforces conditions on writes; None: not tried yet."""

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{checked(key)}" if self.prefix else checked(key)

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._key(key)}

    def _get(self, key: str) -> reading.Get:
        where = self._where(key)
        return lambda **more: self._client.get_object(**where, **more)

    def read(self, key: str) -> bytes:
        """See `Store.read`."""
        data = self._ask_small(key, self._small.read)
        return self._call(key, lambda: reading.read(self._get(key)), asks=True) if data is None else data

    def _ask_small(self, key: str, read: Callable[[str], bytes | None]) -> bytes | None:
        try:
            return read(self._key(key))
        except MissingError:
            raise KeyMissingError(f"no object {key} in {self.uri}") from None

    def _head(self, key: str) -> Mapping[str, Any] | None:
        """What the server says of an object, None if there is none. HEAD has no body: why it was refused, the same
        question by GET says."""

        def ask() -> Mapping[str, Any]:
            try:
                answer: Mapping[str, Any] = self._client.head_object(**self._where(key))
                return answer
            except ClientError as error:
                if answers.has_no_body(error):
                    self._get(key)(Range="bytes=0-0")["Body"].close()
                raise

        try:
            return self._call(key, ask, asks=True)
        except KeyMissingError:
            return None

    def size(self, key: str) -> int | None:
        """See `Store.size`."""
        answer = self._head(key)
        return None if answer is None else int(answer["ContentLength"])

    def fingerprint(self, key: str) -> str | None:
        """See `Store.fingerprint`: ETag and size, which need no reading. The same bytes sent in other parts differ."""
        answer = self._head(key)
        return None if answer is None else f"etag:{answer['ETag'].strip(chr(34))}:{answer['ContentLength']}"

    def create(self, key: str, data: bytes) -> bytes:
        """See `Store.create`."""
        if self._conditions is None:
            return self._first_create(key, data)
        if self._conditions:
            try:
                return self._create_if_absent(key, data)
            except _UnsupportedError:
                self._conditions = False
        return self._create_unconditionally(key, data)

    def _first_create(self, key: str, data: bytes) -> bytes:
        """The first `create` on a server that may take a condition and ignore it (Cloud Storage documents conditions on
        generations only): when the object is written, the same bytes again must meet 412."""
        with suppress(KeyMissingError):
            return self.read(key)
        self._conditions = True
        stands = self.create(key, data)
        if self._conditions and stands == data:
            try:
                self._put(key, data, IfNoneMatch="*")
                self._conditions = False
            except _ConflictError:
                pass
        return stands

    def _create_if_absent(self, key: str, data: bytes) -> bytes:
        """412: the key exists, perhaps by our own retried PUT; 409: another PUT is under way."""
        for _attempt in range(_TRIES):
            try:
                self._put(key, data, IfNoneMatch="*")
                return data
            except _ConflictError:
                with suppress(KeyMissingError):
                    return self.read(key)
        raise RetryError(f"{self.uri}/{key}: the server keeps answering 409", fix="start again")

    def _create_unconditionally(self, key: str, data: bytes) -> bytes:
        try:
            return self.read(key)
        except KeyMissingError:
            self._put(key, data)
            return self.read(key)

    def put(self, key: str, data: bytes) -> None:
        """See `Store.put`."""
        self._put(key, data)

    def _put(self, key: str, data: bytes, **condition: str) -> None:
        wrote = self._small.write(self._key(key), data, absent=bool(condition))
        if wrote is False:
            raise _ConflictError(f"{key} exists")
        if wrote:
            return

        def act() -> None:
            try:
                self._client.put_object(**self._where(key), Body=data, **self._options, **condition)
            except ClientError as error:
                if condition and answers.is_conflict(error):
                    raise _ConflictError(str(error)) from error
                if condition and answers.is_unsupported(error):
                    raise _UnsupportedError(str(error)) from error
                raise

        self._call(key, act)

    def upload(self, key: str, path: Path) -> None:
        """See `Store.upload`; several parts for large files."""
        if self._small.upload(self._key(key), path):
            return
        where = (str(path), self.bucket, self._key(key))
        self._call(key, lambda: self._client.upload_file(*where, ExtraArgs=dict(self._options), Config=_TRANSFER))

    def upload_resumable(self, key: str, path: Path) -> None:
        """See `Store.upload_resumable`."""
        if path.stat().st_size <= PART_BYTES:
            self.upload(key, path)
        else:
            self._call(key, lambda: Upload(self._client, self.bucket, self._key(key), self._options).send(path))

    def fetch(self, key: str, scratch: Path) -> Path:
        """See `Store.fetch`: downloaded under a name of its own, since a reader may hold an older one open."""
        path = scratch / f"{uuid.uuid4().hex[:8]}-{Path(key).name}"
        with writing(path):
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                signals.check()
                if (data := self._ask_small(key, self._small.read_small)) is not None:
                    path.write_bytes(data)
                else:
                    self._call(key, lambda: reading.download(self._get(key), path), asks=True)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        return path

    def release(self, path: Path) -> None:
        """See `Store.release`: what `fetch` gave is a copy."""
        with writing(path):
            path.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[str]:
        """See `Store.list`."""
        root = f"{self.prefix}/" if self.prefix else ""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
        pager = iter(pages)
        while (page := self._call(prefix, lambda: next(pager, None))) is not None:
            for item in page.get("Contents", []):
                yield item["Key"][len(root) :]

    def delete(self, key: str) -> None:
        """See `Store.delete`. Amazon says nothing of a missing key, Cloud Storage answers 404."""
        with suppress(KeyMissingError):
            self._call(key, lambda: self._client.delete_object(**self._where(key)), asks=True)

    def _call(self, key: str, act: Callable[[], T], *, asks: bool = False) -> T:
        """Do what botocore may refuse. asks: it asks for an object, and 404 says that there is none."""
        where = f"{self.uri}/{key}"
        try:
            return act()
        except ClientError as error:
            raise self._explain(key, error, asks) from error
        except (BotoCoreError, Boto3Error, HTTPError) as error:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, ClientError):
                raise self._explain(key, cause, asks) from error
            raise answers.explain_client(where, error) from error
        except reading.ReadingError as error:
            raise RetryError(f"{where}: {error.message}", fix=error.fix) from error

    def _explain(self, key: str, error: ClientError, asks: bool) -> LeicosError:
        if asks and answers.is_missing(error):
            return KeyMissingError(f"no object {key} in {self.uri}")
        return answers.explain(f"{self.uri}/{key}", self.bucket, error)


class _ConflictError(LeicosError):
    """The key exists or is being written."""


class _UnsupportedError(LeicosError):
    """The server does not know conditional writes."""
