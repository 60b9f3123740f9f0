"""Fixtures of runs made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_cli.handmade import INPUTS, HandMade, StandInBackend, configuration

from leicos_jobs.backends import registry
from leicos_jobs.run.commits import Commits
from leicos_jobs.run.opened import Run
from leicos_jobs.store import open_store


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda stage, name: StandInBackend)


@pytest.fixture
def made(tmp_path: Path) -> HandMade:
    store = open_store(str(tmp_path / "run"))
    return HandMade(Run(store, configuration(), INPUTS, Commits(store)))
