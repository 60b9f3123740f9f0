"""`leicos` whose pods are forks of one process that has imported everything: a run takes a third of the CPU time.

For tests that need many commands or whole runs. Commands, processes, groups, signals, logs and exit codes are those of
`leicos`; Python's start and its imports are saved, and with `plots.SPARE` in the environment the drawing of plots.

    python -m helpers.forking_leicos run CONFIG --out RUN

`Server` saves the first process's start as well; `helpers.command_line` has one for the whole test run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from helpers.plots import SPARE, undrawn

from leicos_jobs import convert, formats, judge, media, stages, work
from leicos_jobs.cli import main as command_line
from leicos_jobs.core import signals
from leicos_jobs.core.programs import die_with
from leicos_jobs.local import pods, processes
from leicos_jobs.store import s3
from leicos_jobs.work import child, process_pool


class _Forked:
    """What `processes.Process` asks of a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class ForkedProcess(processes.Process):
    """A pod's command in a fork of this process."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, keeper: processes.Keeper
    ) -> None:
        after = list(arguments).index("leicos_jobs.cli.main") + 1  # PYTHON -m leicos_jobs.cli.main COMMAND ...
        self._keeper, parent = keeper, os.getpid()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(PermissionError):
                os.setsid()
            die_with(parent)
            _become(arguments[after:], environment, log)
        self._popen = _Forked(pid)  # type: ignore[assignment]
        self.group = pid
        keeper.watch(pid)


def _become(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path, errors: Path | None = None, mode: str = "wb"
) -> NoReturn:
    """Go on as the command, and end with its exit code. errors: what it says on standard error; else it is in `log`."""
    code = 70
    try:
        with Path(os.devnull).open() as nothing, log.open(mode) as said, (errors or log).open("ab") as complained:
            os.dup2(nothing.fileno(), 0)
            os.dup2(said.fileno(), 1)
            os.dup2((complained if errors else said).fileno(), 2)
        own = set(_paths(os.environ))
        sys.path[:] = [*_paths(environment), *(path for path in sys.path if path not in own)]
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # TMPDIR may be another
        signals._writer = None  # its thread is the parent's
        signals._stop.clear()
        with undrawn() if SPARE.items() <= environment.items() else contextlib.nullcontext():
            command_line.main(list(arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _paths(environment: Mapping[str, str]) -> list[str]:
    return [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]


class Forking:
    """A backend's process, or a converter's, is a fork as well."""

    @staticmethod
    def get_context(_method: str) -> multiprocessing.context.BaseContext:
        return multiprocessing.get_context("fork")


def serve() -> None:
    """Be one `leicos` after another: a line of JSON in, its exit code out."""
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.chdir(order["cwd"])
            _become(order["arguments"], order["environment"], Path(order["log"]), Path(order["errors"]), "ab")
        print(_Forked(pid).wait(), flush=True)


class Server:
    """Runs commands in forks of one process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        command = [sys.executable, "-m", "helpers.forking_leicos", "serve"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=self._environment, text=True, **pipes)  # type: ignore[call-overload]

    def run(self, *arguments: str, log: Path, **environment: str) -> int:
        """The exit code of a command; what it says is added to `log`."""
        return self._order(arguments, self._environment | environment, log, log)

    def call(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` of the command with `capture_output`. env: its whole environment."""
        with tempfile.TemporaryDirectory() as folder:
            said, complained = Path(folder) / "out", Path(folder) / "err"
            given = tuple(map(str, arguments))
            code = self._order(given, self._environment if env is None else env, said, complained, cwd)
            return subprocess.CompletedProcess(given, code, said.read_text(), complained.read_text())

    def _order(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path, errors: Path, cwd: Path | None = None
    ) -> int:
        order = {"arguments": arguments, "environment": dict(environment), "log": str(log), "errors": str(errors)}
        self._process.stdin.write(json.dumps(order | {"cwd": str(cwd or Path.cwd())}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Import all that a command imports when it is called, then be `leicos`."""
    for package in (convert, formats, judge, media, s3, stages, work):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in ("leicos_jobs.cli.here", "leicos_jobs.cli.pipeline", "leicos_jobs.cli.local_run"):
        importlib.import_module(name)
    pods.Process = ForkedProcess  # type: ignore[misc]
    child.multiprocessing = process_pool.multiprocessing = Forking  # type: ignore[assignment]
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        command_line.main(sys.argv[1:])


if __name__ == "__main__":
    main()
