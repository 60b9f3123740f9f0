"""`leicos` as a user calls it, without a start of Python for each call: see `forking_leicos`."""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from helpers.forking_leicos import Server
from helpers.identity import environment


@functools.cache
def _server() -> Server:
    server = Server(environment())
    atexit.register(server.close)
    return server


def leicos(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Call it, and return what it said and its exit code. env: its whole environment, else this process's."""
    return _server().call(*arguments, env=dict(os.environ if env is None else env), cwd=cwd)
