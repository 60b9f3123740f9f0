"""A worker of a former configuration that ends late adds its result beside: the amended run's stays, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stages.conftest import snapshot, start

from leicos_jobs.core.stages import WHOLE
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results

pytestmark = pytest.mark.xdist_group("small-run")
STAGES = tuple(stage for stage in WHOLE if stage != "post-train")
OLD_WORKER = """
import importlib, sys
from pathlib import Path
from leicos_jobs.core.stages import STAGES
from leicos_jobs.run.commits import Commits
from leicos_jobs.run.opened import Run, RunFile
from leicos_jobs.run import sealed
from leicos_jobs.store import open_store
root, former, stage = sys.argv[1:]
store = open_store(root)
file = sealed.load(RunFile, store.read(former), former, store.uri)
module = importlib.import_module(f"leicos_jobs.stages.{STAGES[stage].module}")
record = getattr(module, STAGES[stage].module)(Run(store, file.config, file.inputs, Commits(store)))
print(record.key)
"""


def current(root: Path) -> dict[str, str]:
    results = Results(open_run(str(root)))
    return {stage: record.key for stage in STAGES if (record := results.current(stage)) is not None}


@pytest.fixture(scope="module")
def amended(undisturbed: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run, amended in every stage and done again."""
    folder = tmp_path_factory.mktemp("amended")
    root = folder / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    other = yaml.safe_load(config.read_text())
    other["source"]["task"] = "Lift it."
    other["idm"] = {**other["idm"], "seed": 7}
    other["split"] = {"seed": 3}
    other["replay"] = {"hold": 31}
    (folder / "other.yaml").write_text(yaml.safe_dump(other))
    log = folder / "log"
    assert start(folder / "other.yaml", root, log, "--amend").wait(600) == 0, log.read_text()[-3000:]
    return root


@pytest.mark.parametrize("stage", STAGES)
def test_an_older_worker_that_ends_late_replaces_nothing(amended: Path, undisturbed: Path, stage: str) -> None:
    before, dataset = current(amended), snapshot(amended)
    assert set(before) == set(STAGES)
    (former,) = amended.glob("run-*.json")
    (record,) = [path for path in (amended / "records" / stage).iterdir() if path.stem != before[stage]]
    record.unlink()  # it was still at work when the run was amended
    command = [sys.executable, "-c", OLD_WORKER, str(amended), former.name, stage]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == record.stem != before[stage]
    assert record.is_file()
    assert current(amended) == before
    assert snapshot(amended) == dataset != snapshot(undisturbed)
