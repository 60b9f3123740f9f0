"""Errors that know whether trying again helps, and the exit codes that say so to Argo, to CI and to people.

One enum feeds the command line, the workflow's retry expression and the documentation, so the three cannot drift.
64 and 65 are left free: Argo's emissary uses them for its own failures (docs/decisions/argo.md 2.4).
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit status of every leicos process."""

    DONE = 0
    """The work is committed (an empty to-do list counts as done)."""
    DEFECT = 70
    """A defect in leicos or a backend: not retried, reported with a traceback."""
    RETRY = 75
    """Interrupted or a passing fault: the same command again does only what is missing."""
    INPUT = 78
    """The input or the configuration is wrong: trying again cannot help."""


STOPPED, DISK_FULL = "stopped", "disk-full"
"""Codes of errors that are raised anywhere (error_codes.yaml has all)."""


class LeicosError(Exception):
    """Base of all expected errors.

    message: what is wrong, naming the file, field or sample.
    fix: what the user can do about it, an imperative sentence.
    """

    exit_code: ExitCode = ExitCode.DEFECT
    code: str | None = None
    """A code of error_codes.yaml; None: the module that raises it decides."""

    def __init__(self, message: str, *, fix: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\n  fix: {self.fix}"


class InputError(LeicosError):
    """The user's file, configuration or credentials are wrong (exit 78)."""

    exit_code = ExitCode.INPUT


class RetryError(LeicosError):
    """A passing fault: a lost connection, a notice to stop (exit 75)."""

    exit_code = ExitCode.RETRY


class DefectError(LeicosError):
    """An invariant of leicos or a backend was broken (exit 70)."""

    exit_code = ExitCode.DEFECT


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_YOURS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_WRONG_PLACE = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.EEXIST, errno.EINVAL, errno.ENAMETOOLONG})


_SAID = (
    "No space left on device",
    "Disk quota exceeded",
    "No usable temporary directory",  # tempfile, where nothing can be written
)
"""How libraries and foreign programs say it that lose the number on the way."""


def no_room(error: BaseException | None) -> RetryError | None:
    """A full disk, quota or scratch folder that an exception, or what caused it, tells of; None if none does.

    Nothing else can be blamed then: not the sample, not the file that was read, not leicos.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return _no_room_for(Path(os.fsdecode(error.filename)) if error.filename else _scratch())
        if isinstance(error, RetryError) and error.message.startswith(_FULL):
            return error
        short = isinstance(error, OSError) and re.fullmatch(r"\d+ requested and \d+ written", str(error))  # numpy
        if short or any(text in str(error) for text in _SAID):
            return _no_room_for(_scratch())
        error = error.__cause__ or error.__context__
    return None


_FULL = "no space left for "


def _no_room_for(path: Path) -> RetryError:
    scratch = _scratch()
    where = f"free some space in {scratch}, or name a larger disk by TMPDIR,"
    if not path.is_relative_to(scratch):
        where = "free some space there (scratch files: where TMPDIR says)"
    fix = f"{where} and start again; committed work is kept"
    return RetryError(f"{_FULL}{path}", fix=fix, code=DISK_FULL)


def _scratch() -> Path:
    """Where scratch files go; what TMPDIR says where not even a folder for them is found."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path(os.environ.get("TMPDIR", "/tmp"))


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the file system refuses to do with `path` into an InputError (a wrong place) or a RetryError (a passing
    fault, such as a full disk)."""
    try:
        yield
    except OSError as error:
        raise _disk_error(error, path) from error


def _disk_error(error: OSError, path: Path) -> LeicosError:
    if error.errno in _NO_ROOM:
        return _no_room_for(path)
    if error.errno in _NOT_YOURS:
        return InputError(f"cannot write {path}: {error.strerror}", fix="choose a folder that you may write to")
    if error.errno in _WRONG_PLACE:
        fix = "check that its folder exists and is a folder, not a file"
        return InputError(f"cannot write {path}: {error.strerror}", fix=fix)
    return RetryError(
        f"{path}: {error.strerror or error}", fix="check the disk and start again; committed work is kept"
    )
