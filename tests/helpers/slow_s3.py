"""An S3 server with one object that never ends soon: a checkpoint of 1 GiB, at half a second a MiB and connection."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MIB = 1 << 20
SIZE = 1024 * MIB
PAUSE = 0.5


class SlowS3(ThreadingHTTPServer):
    """under_way: set once bytes of the object have been given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.under_way = threading.Event()
        self.closing = threading.Event()

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server_port}",
            "AWS_ACCESS_KEY_ID": "slow",
            "AWS_SECRET_ACCESS_KEY": "slow",
            "AWS_REGION": "us-east-1",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SlowS3

    def do_HEAD(self) -> None:
        self._head(200, SIZE)

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        assert asked is not None
        first, last = int(asked[1]), int(asked[2] or SIZE - 1)
        left = last - first + 1
        self._head(206, left, ("Content-Range", f"bytes {first}-{last}/{SIZE}"))
        try:
            while left and not self.server.closing.wait(PAUSE):
                self.wfile.write(bytes(min(MIB, left)))
                left -= min(MIB, left)
                self.server.under_way.set()
        except OSError:  # the reader went away
            self.close_connection = True

    def _head(self, status: int, length: int, *more: tuple[str, str]) -> None:
        self.send_response_only(status)
        for name, value in (("Content-Length", str(length)), ("ETag", '"slow"'), *more):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def slow_s3() -> Iterator[SlowS3]:
    with SlowS3() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
