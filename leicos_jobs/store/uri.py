"""From a URI to a store: `s3://bucket/prefix` or a local path.

Everything after the bucket is the key, taken whole, as `aws s3 cp` takes it: `#`, `?`, `%`, `+`, quotes, blanks inside
and every letter of every script are characters like others. Refused by name is what no S3 server keeps or what a
listing cannot carry: control characters (XML 1.0 has no way to write them), empty, `.` and `..` segments (servers and
proxies resolve them), backslashes (SeaweedFS keeps them as slashes and lists nothing under them), a blank at the
beginning or the end (a slip of the hand), and keys over 1024 bytes of UTF-8.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from leicos_jobs.core.errors import InputError
from leicos_jobs.store.base import Store
from leicos_jobs.store.folder import FolderStore

S3 = "s3://"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_KEY_BYTES = 1024
_ROOM = 300
"""Bytes that the longest key of a run needs below its root."""
_FORM = "write s3://bucket/folder/name"


def open_store(uri: str) -> Store:
    """Open the store at a URI. Raises InputError for a scheme that is neither s3 nor a path, and for what cannot be a
    key."""
    if uri.startswith(S3):
        bucket, prefix = _split(uri.removesuffix("/"), _KEY_BYTES - _ROOM)
        return _s3(bucket, prefix)
    _require_text(uri)
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return FolderStore(_local(uri, uri))
    if scheme[1] == "file" and (path := re.sub(r"^file:(//(localhost)?(?=/))?", "", uri)) and not path.startswith("//"):
        return FolderStore(_local(path, uri))
    raise InputError(f"{uri}: unknown scheme {scheme[1]!r}", fix="use a local path or s3://bucket/prefix")


def open_object(uri: str) -> tuple[Store, str]:
    """The store and the key of one object, as the user names it: s3://bucket/folder/name or s3://bucket/name.

    Raises InputError for what cannot be a key.
    """
    bucket, key = _split(uri, _KEY_BYTES)
    folder, _, name = key.rpartition("/")
    return _s3(bucket, folder), name


def _s3(bucket: str, prefix: str) -> Store:
    from leicos_jobs.store.s3 import S3Store  # boto3 is slow to import, and a folder needs none

    return S3Store(bucket, prefix)


def _local(path: str, uri: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{uri}: {error}", fix="write the whole path") from error


def _split(uri: str, limit: int) -> tuple[str, str]:
    """Bucket and key of an s3:// URI. Raises InputError."""
    bucket, _, key = uri.removeprefix(S3).partition("/")
    _require_text(uri)
    if not uri.startswith(S3) or not bucket or not key:
        raise InputError(f"{uri}: a bucket and a name in it are needed", fix=_FORM)
    if not _BUCKET.fullmatch(bucket):
        raise InputError(f"{uri}: {bucket!r} cannot be a bucket", fix=_FORM)
    if wrong := [part for part in key.split("/") if part in ("", ".", "..")]:
        what = f"a segment {wrong[0]!r}" if wrong[0] else "an empty segment (two slashes, or one at the end)"
        raise InputError(f"{uri}: has {what}, which S3 servers refuse or resolve", fix=_FORM)
    if "\\" in key:
        raise InputError(f"{uri}: has a backslash, which some S3 servers turn into a slash", fix=_FORM)
    if key != key.strip():
        raise InputError(f"{uri}: the name begins or ends with a blank", fix="remove the blank")
    if len(key.encode()) > limit:
        raise InputError(
            f"{uri[:80]}...: has {len(key.encode())} bytes after the bucket, and S3 leaves room for {limit} here",
            fix="choose a shorter name",
        )
    return bucket, key


def _require_text(uri: str) -> None:
    """Refuse what cannot be written in XML or in UTF-8: control characters, halves of surrogate pairs."""
    wrong = [char for char in uri if unicodedata.category(char) in ("Cc", "Cs") or char in "\u2028\u2029\ufffe\uffff"]
    if wrong:
        raise InputError(f"{uri!r}: has the control character {wrong[0]!r}", fix="remove it from the name")
