"""One cluster for a whole test run, and a loud word where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import installation
from .harness import Cluster, missing
from .installation import Bucket

STUB = Path(__file__).parents[1] / "local" / "stub_leicos.sh"
_STUB_DOCKERFILE = """
ARG BASE
FROM ${BASE}
COPY leicos /usr/local/bin/leicos
USER 1000
"""
_lacking: list[str] = []


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster; a kept one (`python -m tests.cluster.harness up`) is used as it is."""
    if reason := missing():
        _lacking.append(reason)
        pytest.skip(reason)
    with Cluster() as running:
        yield running


@pytest.fixture(scope="session")
def bucket(cluster: Cluster) -> Bucket:
    """The bucket that pods and this machine reach."""
    return Bucket(cluster)


@pytest.fixture(scope="session")
def stub_image(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A shell, Python, and the stand-in for leicos: where only the workflow is tested."""
    context = tmp_path_factory.mktemp("stub")
    (context / "Dockerfile").write_text(_STUB_DOCKERFILE)
    shutil.copy(STUB, context / "leicos")
    arguments = {"BASE": cluster.base_image()}
    return cluster.build_image(context, context / "Dockerfile", "localhost/leicos-conformance:1", arguments)


@pytest.fixture(scope="session")
def jobs_image(cluster: Cluster) -> str:
    """images/jobs, built for real."""
    return installation.build_jobs_image(cluster)


@pytest.fixture(scope="session")
def installed(cluster: Cluster, jobs_image: str) -> Cluster:
    """The cluster seen from the namespace in which the chart is installed."""
    return installation.install(cluster, "leicos-installed", jobs_image)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _lacking:
        terminalreporter.section("no cluster", red=True)
        terminalreporter.line(_lacking[0])
