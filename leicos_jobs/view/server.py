"""The viewer's server: on this machine's loopback alone, reading alone, nothing but what it names itself.

It answers only requests for its own host name, so that no page of others can reach it by a name that they made to
point here; no address becomes a path: what is sent is looked up by a sample's id or a record's own file names.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from leicos_jobs.core import stages
from leicos_jobs.core.errors import InputError, LeicosError
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.run import layout, starts
from leicos_jobs.run.chain import walk
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.view.files import Files, part
from leicos_jobs.view.index import Index
from leicos_jobs.view.newest import newest
from leicos_jobs.view.pages import Pages, report_key

HOST = "127.0.0.1"
NAMES = {"127.0.0.1", "localhost", "[::1]"}
CHUNK = 1 << 18
POLICY = (
    "default-src 'none'; style-src {style}; script-src 'self'; img-src 'self'; media-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".mp4": "video/mp4", ".json": "application/json; charset=utf-8",
}  # fmt: skip
OWN = {"view.css", "view.js", "icon.svg"}


class Viewer:
    """What the addresses lead to. scratch: an empty folder."""

    def __init__(self, run: Run, scratch: Path) -> None:
        self.run = run
        self.index = Index(run, scratch)
        self.pages = Pages(run, self.index)
        self.files = Files(run, scratch)

    def page(self, path: str, asked: dict[str, str]) -> str | None:
        """An HTML page, None if the address is none of a page."""
        if path == "/":
            return self.pages.samples(asked)
        if path == "/failures":
            return self.pages.failures()
        found = re.fullmatch(r"/sample/([0-9a-f]{20})", path)
        return self.pages.sample(found[1]) if found else None

    def file(self, path: str) -> tuple[str, IO[bytes]] | None:
        """A file's suffix and its open bytes, None if the address is none of a file."""
        ways: tuple[tuple[str, Callable[..., tuple[str, IO[bytes]] | None]], ...] = (
            (r"/static/([a-z.]+)", self._own),
            (r"/(favicon)\.ico", lambda _name: self._own("icon.svg")),
            (r"/(video|clip|demo)/([0-9a-f]{20})", self._video),
            (r"/generate/([0-9a-f]{20})/[^/]+\.mp4", lambda name: self._video("video", name)),
            (r"/report/latest/([\w.-]+)", self._report),
        )
        for pattern, way in ways:
            if found := re.fullmatch(pattern, path):
                return way(*found.groups())
        return None

    def record(self, path: str) -> bytes | None:
        """A sample's record as JSON."""
        found = re.fullmatch(r"/record/([0-9a-f]{20})/([a-z-]+)/([0-9a-f]{1,64})", path)
        if found is None or found[2] not in stages.SAMPLE or self.index.sample(found[1]) is None:
            return None
        record = self.run.commits.get(found[2], found[1], found[3])
        return None if record is None else json.dumps(record.model_dump(mode="json"), indent=1).encode()

    def _own(self, name: str) -> tuple[str, IO[bytes]] | None:
        place = files("leicos_jobs.view") / name
        return (Path(name).suffix, place.open("rb")) if name in OWN else None

    def _video(self, kind: str, name: str) -> tuple[str, IO[bytes]] | None:
        """The generated video, the clip that it began from, or its whole demo."""
        if (known := self.index.sample(name)) is None:
            return None
        sample, results = known[0], Results(self.run)
        if kind == "demo":
            dataset, video = results.needed("convert"), video_file(sample.episode, self.run.config.source.camera)
            return ".mp4", self.files.open(dataset.path(str(video)), dataset.files[str(video)])
        if kind == "clip":
            start = starts.read(self.run, sample.start)
            return ".mp4", self.files.open(layout.clip(start.identity, start.clip_sha256), start.clip_sha256)
        record = walk(self.run.commits, results.rules(), sample, "generate").generate
        if record is None or record.object is None or record.sha256 is None:
            return None
        return ".mp4", self.files.open(record.object, record.sha256)

    def _report(self, name: str) -> tuple[str, IO[bytes]] | None:
        """A file of the report, which stands beside others in its folder."""
        results = Results(self.run)
        if (record := newest(results, "report")) is not None:
            known = record.files.get(name)
            return (Path(name).suffix, self.files.open(record.path(name), known)) if known else None
        if (folder := report_key(results)) and f"{folder}{name}" in set(self.run.store.list(folder)):
            with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
                return Path(name).suffix, self.run.store.fetch(f"{folder}{name}", Path(scratch)).open("rb")
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    viewer: ClassVar[Viewer]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "leicos", ""

    def do_GET(self) -> None:
        """Find what the address names, and send it."""
        host = re.sub(r":\d+$", "", self.headers.get("Host", ""))
        if host not in NAMES:
            self._text(HTTPStatus.MISDIRECTED_REQUEST, "this server answers on this machine alone")
            return
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except LeicosError as error:
            self._text(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except Exception as error:
            self._text(HTTPStatus.INTERNAL_SERVER_ERROR, f"a defect in leicos: {type(error).__name__}: {error}")
            raise

    do_HEAD = do_GET

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path, errors="replace")
        if (page := self.viewer.page(path, dict(parse_qsl(address.query, errors="replace")))) is not None:
            self._bytes(HTTPStatus.OK, page.encode(errors="replace"), ".html")
        elif (record := self.viewer.record(path)) is not None:
            self._bytes(HTTPStatus.OK, record, ".json")
        elif (found := self.viewer.file(path)) is not None:
            with found[1] as stream:
                self._stream(found[0], stream, report=path.startswith("/report/"))
        else:
            self._text(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _stream(self, suffix: str, stream: IO[bytes], *, report: bool) -> None:
        """A file, or the part of it that is asked for."""
        size = stream.seek(0, 2)
        asked = self.headers.get("Range")
        if (wanted := part(asked, size)) is None:
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, suffix, 0, {"Content-Range": f"bytes */{size}"})
            return
        first, last = wanted
        status = HTTPStatus.PARTIAL_CONTENT if (asked and (first, last + 1) != (0, size)) or asked else HTTPStatus.OK
        more = {"Accept-Ranges": "bytes"}
        if status == HTTPStatus.PARTIAL_CONTENT:
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._head(status, suffix, last + 1 - first, more, style="'self' 'unsafe-inline'" if report else "'self'")
        stream.seek(first)
        left = last + 1 - first if self.command == "GET" else 0
        while left and (data := stream.read(min(CHUNK, left))):
            self.wfile.write(data)
            left -= len(data)

    def _text(self, status: HTTPStatus, text: str) -> None:
        self._head(status, ".txt", len(data := text.encode(errors="replace")), {})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _bytes(self, status: HTTPStatus, data: bytes, suffix: str) -> None:
        self._head(status, suffix, len(data), {})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, suffix: str, length: int, more: dict[str, str], style: str = "'self'") -> None:
        self.send_response(status)
        headers = {
            "Content-Type": TYPES.get(suffix, "text/plain; charset=utf-8"),
            "Content-Length": str(length),
            "Content-Security-Policy": POLICY.format(style=style),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        for name, value in (headers | more).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line per picture would drown what matters."""


def serve(run: Run, scratch: Path, port: int) -> ThreadingHTTPServer:
    """A server that is bound and not yet at work; port 0: any that is free. Raises InputError if the port is taken."""
    viewer = Viewer(run, scratch)
    handler = type("RunHandler", (Handler,), {"viewer": viewer})
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise InputError(f"port {port} of this machine: {error.strerror}", fix="name another one by --port") from None
    server.daemon_threads = True
    return server
