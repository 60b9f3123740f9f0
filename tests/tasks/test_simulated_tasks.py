"""Every task that leicos ships, from `record` to its end: ceilings, floors, and labels that nobody should believe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.identity import PLUGINS
from helpers.pipeline import run_through, score

pytest.importorskip("mujoco")

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_layout import INFO
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results
from leicos_jobs.stages.record import record
from leicos_jobs.tasks.data import DEFAULT
from leicos_jobs.tasks.task import shipped

DEMOS, FRAMES = 2, 270
UNTRAINED = {"label": {"settings": {"mistake": "untrained"}}}


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}:{PLUGINS.parent}")


def configured(folder: Path, task: str, controls: int) -> dict[str, Any]:
    """Of an IDM that knows every frame of the demos, whose videos are the demos' own."""
    record(folder / "demos.hdf5", DEMOS, 0, 64, 48, failed_share=0.0, task=task)
    config = config_for([folder / "demos.hdf5"], None).model_dump(mode="json")
    config["plan"]["samples"] = DEMOS
    config["generate"] |= {"backend": "echo", "frames": FRAMES, "settings": {"crf": 5}}
    config["replay"]["controls_at_most"] = controls
    return config | {"idm": {"backend": "lookup"}, "gate": {"checks": ["start-frame"], "start_psnr_min": 10}}


def episodes(root: Path) -> int:
    made = Results(open_run(str(root))).current("assemble")
    assert made is not None
    return int(made.facts["episodes"])


@pytest.mark.parametrize("task", shipped().keys() - {DEFAULT})
def test_a_second_task_goes_all_the_way_with_its_ceiling_and_floors(task: str, tmp_path: Path) -> None:
    root, config = tmp_path / "run", configured(tmp_path, task, DEMOS)
    run_through(root, config)
    assert episodes(root) == DEMOS
    assert (root / "synthetic/latest" / INFO).is_file()
    replay = score(root)["replay"]
    assert replay["demo"]["share"] == replay["all"]["labels"]["share"] == 1.0
    assert replay["all"]["shuffled"]["share"] == replay["all"]["other_demo"]["share"] == 0.0


@pytest.mark.parametrize("task", shipped())
def test_an_untrained_idm_leaves_no_dataset(task: str, tmp_path: Path) -> None:
    root, config = tmp_path / "run", configured(tmp_path, task, 0) | UNTRAINED
    if task != DEFAULT:
        run_through(root, config, upto="assemble")
    else:
        with pytest.raises(InputError, match="no sample passed curation"):
            run_through(root, config)
        assert "There is nothing to train on" in (root / "report/latest/index.html").read_text()
    assert episodes(root) == 0
