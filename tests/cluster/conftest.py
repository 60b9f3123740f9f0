"""One cluster for a whole test run, and a loud word where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Cluster, missing

_lacking: list[str] = []


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; a kept one (`python -m tests.cluster.harness up`) is used as it is."""
    if reason := missing():
        _lacking.append(reason)
        pytest.skip(reason)
    with Cluster() as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _lacking:
        terminalreporter.section("no cluster", red=True)
        terminalreporter.line(_lacking[0])
