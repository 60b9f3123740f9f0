"""A small S3 server on loopback that answers as a provider does where it differs from Amazon.

It is an imitation, made from what users of those providers reported; nothing here was measured on the providers
themselves. As an HTTP proxy (HTTP_PROXY) it answers for any host, so that a provider's own address can be used.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Refusal = tuple[int, str, str]
"""Status, code and message."""


@dataclass(frozen=True)
class Dialect:
    """How a server differs."""

    checksums: Refusal | None = None
    """What a request with boto3's checksum headers is answered."""
    conditions: Refusal | Literal["enforced", "ignored"] = "enforced"
    """What If-None-Match of a PUT does."""
    missing_delete: Refusal | None = None
    virtual_host: str | None = None
    """The domain before which the bucket must stand; a bucket in the path is refused."""
    ranges: bool = True
    always: Refusal | None = None


AMAZON = Dialect()
GCS = Dialect(
    checksums=(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature"),
    missing_delete=(404, "NoSuchKey", "The specified key does not exist."),
    conditions="ignored",
)
R2 = Dialect(checksums=(501, "NotImplemented", "Header 'x-amz-checksum-crc32' with value '8FJbTw==' not implemented"))
R2_OLD = Dialect(checksums=(401, "Unauthorized", "Unauthorized"))
OSS = Dialect(
    checksums=(400, "InvalidArgument", "aws-chunked encoding is not supported with the specified checksum value."),
    conditions=(501, "NotImplemented", "A header you provided implies functionality that is not implemented"),
    virtual_host="s3.oss-cn-hangzhou.aliyuncs.com",
)
OBS = Dialect(checksums=(400, "XAmzContentSHA256Mismatch", "The Content-SHA256 you specified did not match"))
CEPH_OLD = Dialect(conditions=(400, "InvalidArgument", "x-amz-if-none-match not implemented"))
RANGELESS = Dialect(ranges=False)

_CHECKSUM_HEADERS = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")


@dataclass
class Cuts:
    """Bodies of GET that end too early: each after `after` bytes, `left` of them."""

    after: int = 0
    left: int = 0
    reset: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> int | None:
        """How many bytes of the next body come, None for all."""
        with self.lock:
            if self.left == 0:
                return None
            self.left -= 1
            return self.after


class S3Imitation(ThreadingHTTPServer):
    """objects: (bucket, key) -> bytes. seen: (method, key, names of headers in lower case)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dialect = dialect
        self.objects: dict[tuple[str, str], bytes] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.cuts = Cuts()
        self.lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error of the server."""

    def environment(self) -> dict[str, str]:
        """As a user of the provider has it; a server that is known by its host is reached as a proxy."""
        given = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
        if self.dialect.virtual_host is None:
            return given | {"AWS_ENDPOINT_URL_S3": self.endpoint}
        return given | {"AWS_ENDPOINT_URL_S3": f"http://{self.dialect.virtual_host}", "HTTP_PROXY": self.endpoint}

    def count(self, method: str) -> int:
        return sum(was == method for was, _, _ in self.seen)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Imitation

    def _handle(self) -> None:
        data = self._body()
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, domain = unquote(url.path).lstrip("/"), self.server.dialect.virtual_host
        if domain is None:
            bucket, _, key = path.partition("/")
        else:
            bucket, key = headers["host"].split(":")[0].removesuffix(domain).rstrip("."), path
        with self.server.lock:
            self.server.seen.append((self.command, key, headers))
            status, body = self._answer(bucket, key, data, headers, parse_qs(url.query, keep_blank_values=True))
        self._send(status, body, self.server.objects.get((bucket, key)))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _answer(
        self, bucket: str, key: str, data: bytes, headers: dict[str, str], query: dict[str, list[str]]
    ) -> tuple[int, bytes]:
        dialect, at = self.server.dialect, (bucket, key)
        if dialect.always:
            return _refusal(dialect.always)
        if dialect.virtual_host and not bucket:
            return _refusal((403, "SecondLevelDomainForbidden", "Please use virtual hosted style to access."))
        if dialect.checksums and any(name.startswith(_CHECKSUM_HEADERS) for name in headers):
            return _refusal(dialect.checksums)
        if "list-type" in query:
            return 200, self._listing(bucket, query["prefix"][0])
        if self.command == "PUT":
            return self._put(at, data, "if-none-match" in headers)
        if self.command == "DELETE":
            there = self.server.objects.pop(at, None) is not None
            return _refusal(dialect.missing_delete) if dialect.missing_delete and not there else (204, b"")
        if at not in self.server.objects:
            return _refusal((404, "NoSuchKey", "The specified key does not exist."))
        return 200, self.server.objects[at]

    def _put(self, at: tuple[str, str], data: bytes, conditional: bool) -> tuple[int, bytes]:
        conditions = self.server.dialect.conditions
        if conditional and isinstance(conditions, tuple):
            return _refusal(conditions)
        if conditional and conditions == "enforced" and at in self.server.objects:
            return _refusal((412, "PreconditionFailed", "At least one of the preconditions you specified did not hold"))
        self.server.objects[at] = data
        return 200, b""

    def _listing(self, bucket: str, prefix: str) -> bytes:
        keys = sorted(key for own, key in self.server.objects if own == bucket and key.startswith(prefix))
        items = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in keys)
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()

    def _send(self, status: int, body: bytes, stored: bytes | None) -> None:
        more = [("ETag", f'"{hashlib.md5(stored).hexdigest()}"')] if stored is not None else []
        asked = self.headers.get("Range") if self.command == "GET" and self.server.dialect.ranges else None
        if status == 200 and asked:
            first, last = asked.removeprefix("bytes=").split("-")
            total, end = len(body), min(int(last or len(body)), len(body) - 1)
            if int(first) >= total:
                status, body = _refusal((416, "InvalidRange", "The requested range is not satisfiable"))
            else:
                status, body = 206, body[int(first) : end + 1]
                more.append(("Content-Range", f"bytes {first}-{end}/{total}"))
        self.send_response_only(status)
        for name, value in [("Content-Length", str(len(body))), *more]:
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.server.cuts.next() if self.command == "GET" and status in (200, 206) else None
        if cut is None or cut >= len(body):
            self.wfile.write(body)
            return
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.close_connection = True
        if self.server.cuts.reset:  # no goodbye: the peer sees "connection reset"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _body(self) -> bytes:
        chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
        data = self._chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        whole = b""
        while data:
            head, _, data = data.partition(b"\r\n")
            size = int(head.split(b";")[0], 16)
            if size == 0:
                break
            whole, data = whole + data[:size], data[size + 2 :]
        return whole

    def _chunks(self) -> bytes:
        whole = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return whole

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `seen` tells."""


def _refusal(refusal: Refusal) -> tuple[int, bytes]:
    status, code, text = refusal
    return status, f"<Error><Code>{code}</Code><Message>{escape(text)}</Message></Error>".encode()


@contextmanager
def s3_imitation(dialect: Dialect) -> Iterator[S3Imitation]:
    with S3Imitation(dialect) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
