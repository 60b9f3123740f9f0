"""Labels of a task without a rule: red checks keep the samples out, and what was checked is told wherever one looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.identity import PLUGINS
from helpers.lerobot import DatasetSpec, write_dataset
from helpers.pipeline import QUICK, run_through

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_layout import INFO
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.inspect.robots import robot_from
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import status

MISTAKES = {
    "untrained": "beats-first-row",
    "shifted": "alignment",
    "other joints": "beats-mean-action",
    "scrambled": "smoothness",
    "generated scrambled": "velocity flips its sign",
    "generated swapped": "its first labels are off",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run of a robot that no simulator here has, with good labels; and its configuration."""
    folder = tmp_path_factory.mktemp("labels")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGINS))
        patch.setenv("PYTHONPATH", f"{PLUGINS}:{PLUGINS.parent}")
        source = write_dataset(folder / "source", DatasetSpec(joints=5, lengths=(48, 52, 56, 60)))
        (folder / "robot.yaml").write_text(robot_from(source, None))
        config = config_for([source], None, robot=str(folder / "robot.yaml")).model_dump(mode="json")
        config |= QUICK | {"split": {"held_out_share": 0.5}}
        config["plan"]["samples"] = 2
        run_through(folder / "run", config, upto="assemble")
        yield folder / "run", config


def facts(root: Path, stage: str) -> dict[str, Any]:
    record = Results(open_run(str(root))).current(stage)
    assert record is not None
    return record.facts


def test_good_labels_earn_their_place_and_the_dataset_says_by_what(run: tuple[Path, dict[str, Any]]) -> None:
    root, _ = run
    found = json.loads((root / "synthetic/latest/meta/leicos/checks.json").read_text())
    assert (found["judged_by_checks"], found["accepted_unproven"]) == (2, 0)
    assert {item["name"] for item in found["checks"]} >= {"alignment", "units", "beats-first-row", "smoothness"}
    assert all(item["passed"] for item in found["checks"])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_labels_leave_no_dataset(run: tuple[Path, dict[str, Any]], mistake: str) -> None:
    root, config = run
    config = config | {"label": {"settings": {"mistake": mistake}}}
    run_through(root, config, amend=True, upto="assemble")
    assert facts(root, "curate")["accepted"] == 0
    assert facts(root, "assemble")["episodes"] == 0
    decisions = (root / "curate/latest/curated.jsonl").read_text()
    assert "label: not proven" in decisions
    assert MISTAKES[mistake] in decisions


def test_the_report_is_written_and_the_run_fails_or_the_user_takes_them_all_the_same(
    run: tuple[Path, dict[str, Any]],
) -> None:
    root, config = run
    config = config | {"label": {"settings": {"mistake": "untrained"}}}
    with pytest.raises(InputError, match="no sample passed curation: 2 x label: not proven"):
        run_through(root, config, amend=True)
    assert "There is nothing to train on" in (root / "report/latest/index.html").read_text()
    assert "There is nothing to train on" in status(open_run(str(root))).text()
    config["curate"] = config["curate"] | {"accept_unproven": True}
    run_through(root, config, amend=True)
    synthetic = root / "synthetic/latest"
    assert (synthetic / INFO).is_file()
    found = json.loads((synthetic / "meta/leicos/checks.json").read_text())
    assert found["accepted_unproven"] == 2
    assert not all(item["passed"] for item in found["checks"])
    assert "Do not train on this" in status(open_run(str(root))).text()
