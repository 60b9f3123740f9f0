"""A quarantine is lifted by one command wherever the run lives, and `leicos status` names the one that does it."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from cluster_cli.handmade import HandMade

from leicos_jobs.cli import local_run
from leicos_jobs.cli.main import cli
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures, inputs
from leicos_jobs.run.opened import create_run
from leicos_jobs.run.rounds import Round
from leicos_jobs.work import pulling
from leicos_jobs.work.worker import Worker


class StartedError(Exception):
    """Ends `leicos run` where the workflow would begin."""


def started(*_given: Any, **_options: Any) -> None:
    raise StartedError


def test_leicos_run_lifts_it_in_a_folder_with_the_configuration_that_the_run_has(
    made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(made.run.store.uri, made.run.config, known=made.run.inputs)
    (item,) = made.plan(1)
    made.fail("generate", item, "hangs")
    monkeypatch.setattr(local_run, "run_workflow", started)
    monkeypatch.setattr(inputs, "fingerprints", lambda *_given: dict(made.run.inputs))  # there is no recording
    uri = made.run.store.uri
    for options, left in ((["run", "--out", uri], 3), (failures.retry_command(uri).split()[1:], 0)):
        assert isinstance(CliRunner().invoke(cli, options).exception, StartedError)
        assert len(list(made.run.store.list("failures/"))) == left


def test_a_root_without_a_run_has_nothing_to_go_on_with(tmp_path: Any) -> None:
    error = CliRunner().invoke(cli, ["run", "--out", str(tmp_path / "none")]).exception
    assert isinstance(error, InputError)
    assert "is not a run" in str(error)


def test_the_command_depends_on_where_the_run_lives() -> None:
    assert (
        failures.retry_command("s3://robots/runs/a b") == "leicos resubmit 's3://robots/runs/a b' --retry-quarantined"
    )
    assert failures.retry_command("runs/lift") == "leicos run --out runs/lift --retry-quarantined"


def test_workers_of_replay_are_named_after_their_workflow(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    create_run(made.run.store.uri, made.run.config, known=made.run.inputs)
    made.plan(1)
    names: list[str] = []
    monkeypatch.setattr(pulling, "listed", lambda _run, _folder, _index: (Round(workers=1, samples=()), {}))
    monkeypatch.setattr(Worker, "work", lambda worker: names.append(worker.worker))
    for workflow in ("leicos-replay-x", "leicos-replay-y"):
        CliRunner().invoke(cli, ["replay", "--run", made.run.store.uri, "--workflow", workflow, "--worker", "0"])
    assert names == ["leicos-replay-x-replay-00000", "leicos-replay-y-replay-00000"]
