"""Small workflows with what Argo makes of them (tests/cluster runs the same files with Argo itself)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import conformance_cases
import pytest

from leicos_jobs.local import run_workflow


def run(case: str, logs: Path) -> dict[str, Any]:
    manifests = conformance_cases.manifests(case)
    result = run_workflow(manifests, manifests[0]["metadata"]["name"], {}, workers=4, logs=logs, max_backoff=0.1)
    return conformance_cases.of_local(result)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """All cases at once: most of their time is waiting."""
    logs = tmp_path_factory.mktemp("logs")
    with ProcessPoolExecutor(6, mp_context=multiprocessing.get_context("spawn")) as pool:
        # The slow ones first.
        order = sorted(conformance_cases.cases(), key=lambda case: "deadline" not in case)
        yield {case: pool.submit(run, case, logs / case) for case in order}


@pytest.mark.parametrize("case", conformance_cases.cases())
def test_the_interpreter_does_as_argo_does(case: str, running: dict[str, Future[dict[str, Any]]]) -> None:
    assert running[case].result(timeout=60) == conformance_cases.expected(case)


def test_every_case_says_what_is_expected() -> None:
    names = {path.name.removesuffix(".expected.json") for path in conformance_cases.FOLDER.glob("*.expected.json")}

    assert names == set(conformance_cases.cases())
    assert len(names) >= 25
