"""The report's plots as empty files: drawing them takes most of a small report's time, and few tests look at one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

SPARE = {"LEICOS_TESTS_UNDRAWN": "1"}
"""Environment with which `forking_leicos` draws none."""


def _empty(*arguments: object) -> None:
    for path in arguments:
        if isinstance(path, Path):
            path.touch()


@contextmanager
def undrawn() -> Iterator[None]:
    """No plot is drawn in this process."""
    from leicos_jobs.judge import plots

    names = ("joint_errors", "success_bars", "gate_scores", "coverage", "learning", "trajectory")
    with mock.patch.multiple(plots, **dict.fromkeys(names, _empty)):
        yield
