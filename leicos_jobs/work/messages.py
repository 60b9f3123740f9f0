"""What a worker and its backend's process say to each other, pickled through a pipe.

The parent sends Work; the child answers with Started, Result and Failed, and End when the batch is done. After a Result
with `waits` it goes on only when it hears GoOn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """To the child: a batch of the backend's own requests."""

    requests: Sequence[Any]


@dataclass(frozen=True)
class GoOn:
    """To the child: its last result is dealt with."""


@dataclass(frozen=True)
class Ready:
    """The backend is made. batch: requests it wants at a time. seconds: what that took."""

    batch: int
    seconds: float


@dataclass(frozen=True)
class Refused:
    """The backend cannot work with what it was given: an InputError's message, fix and code."""

    message: str
    fix: str | None
    code: str | None = None


@dataclass(frozen=True)
class Retry:
    """A passing fault, such as a full disk: no sample is to blame. A RetryError's message and fix."""

    message: str
    fix: str | None


@dataclass(frozen=True)
class Broken:
    """The backend could not be made. text: the error in a line."""

    text: str
    traceback: str


@dataclass(frozen=True)
class Started:
    """Work on a sample begins."""

    sample: str


@dataclass(frozen=True)
class Result:
    """One of the backend's own results. waits: whether the child waits for GoOn."""

    result: Any
    waits: bool


@dataclass(frozen=True)
class Failed:
    """The batch ended by an error. sample: the one that it worked on, None if none. text: the error in a line."""

    sample: str | None
    text: str
    traceback: str


@dataclass(frozen=True)
class End:
    """The batch is done. worn: whether the process has lived as long as its backend wants."""

    worn: bool = False


Answer = Ready | Refused | Retry | Broken | Started | Result | Failed | End
"""All that a child says: first one of Ready, Refused, Retry and Broken, the others (and Retry) of each batch."""
