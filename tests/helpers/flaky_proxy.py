"""Reverse proxies on loopback that disturb requests. Host and path go through as the client sent them, so that
signatures hold.

`flaky_proxy` answers 500 to every n-th request, of each method by turns after and before it was forwarded.
`bad_proxy` disturbs a share of the requests in every way that a network and a server know.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class FlakyProxy(ThreadingHTTPServer):
    """seen: (method, fate) -> requests. asked: (method, path) -> requests.

    Fates: passed. lost: carried out, and answered with 500. refused: 500 at once. busy: 503 at once. dropped: carried
    out, and the connection closed without an answer. cut: half of the body came. doubled: a PUT was carried out
    twice, and the second answer given.
    """

    daemon_threads = True

    def __init__(self, target: str, every: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.every = every
        self.seen: Counter[tuple[str, str]] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fate(self, method: str, path: str) -> str:
        """Decide a request's fate and count it."""
        with self._lock:
            self.asked[method, path] += 1
            failed = self.seen[method, "lost"] + self.seen[method, "refused"]
            fate = "passed" if (self.seen.total() + 1) % self.every else ("lost", "refused")[failed % 2]
            self.seen[method, fate] += 1
            return fate

    def count(self, fate: str) -> int:
        return sum(count for (_, was), count in self.seen.items() if was == fate)


class BadProxy(FlakyProxy):
    """Disturbs a random share of the requests."""

    FATES = ("lost", "refused", "busy", "dropped", "cut", "doubled")

    def __init__(self, target: str, share: float, seed: int) -> None:
        super().__init__(target, 1)
        self._share, self._random = share, random.Random(seed)

    def fate(self, method: str, path: str) -> str:
        """Decide a request's fate and count it. Only a GET's answer has a body to cut, only a PUT is doubled."""
        with self._lock:
            fates = [fate for fate in self.FATES if {"cut": "GET", "doubled": "PUT"}.get(fate, method) == method]
            fate = self._random.choice(fates) if self._random.random() < self._share else "passed"
            self.asked[method, path] += 1
            self.seen[method, fate] += 1
            return fate


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy

    def _handle(self) -> None:
        body = self._body()
        fate = self.server.fate(self.command, self.path)
        status, headers, answer = 500, [("Content-Type", "text/html")], b"<html>Internal Server Error</html>"
        if fate == "busy":
            status, answer = (
                503,
                b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
            )
        if fate not in ("refused", "busy"):
            came = self._forward(body)
            if fate == "doubled":
                came = self._forward(body)
            if fate not in ("lost", "dropped"):
                status, headers, answer = came
        if fate == "dropped":
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if fate == "cut":
            self.close_connection, answer = True, answer[: len(answer) // 2]
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP | {"expect"}:
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            came = upstream.getresponse()
            headers = [(name, value) for name, value in came.getheaders() if name.lower() not in HOP_BY_HOP]
            if self.command == "HEAD" and (length := came.getheader("Content-Length")):
                headers.append(("Content-Length", length))
            return came.status, headers, came.read()
        finally:
            upstream.close()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `seen` counts."""


@contextmanager
def _serving(server: FlakyProxy) -> Iterator[FlakyProxy]:
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def flaky_proxy(target: str, every: int) -> AbstractContextManager[FlakyProxy]:
    """Serve in front of `target` (http://host:port)."""
    return _serving(FlakyProxy(target, every))


def bad_proxy(target: str, share: float, seed: int) -> AbstractContextManager[FlakyProxy]:
    """The same with a share of the requests disturbed."""
    return _serving(BadProxy(target, share, seed))
