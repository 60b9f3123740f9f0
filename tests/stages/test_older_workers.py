"""A worker of a former configuration that ends late adds its result beside: the amended run's stays, bit for bit."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers import process_tree
from helpers.identity import environment, forking_leicos, plugins, write_config
from helpers.plots import SPARE
from stages.conftest import snapshot, start

from leicos_jobs.core.stages import WHOLE
from leicos_jobs.run.check import check
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


def current(root: Path, stages: tuple[str, ...] = STAGES) -> dict[str, str]:
    results = Results(open_run(str(root)))
    return {stage: record.key for stage in stages if (record := results.current(stage)) is not None}


def changed(config: Path, path: Path) -> Path:
    """The configuration with something else in every stage."""
    other = yaml.safe_load(config.read_text())
    other["source"]["task"] = "Lift it."
    other["idm"] = {**other["idm"], "seed": 7}
    other["split"] = {"seed": 3}
    other["replay"] = {**other.get("replay", {}), "hold": 31}
    path.write_text(yaml.safe_dump(other))
    return path


@pytest.fixture(scope="module")
def amended(undisturbed: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run, amended in every stage and done again."""
    folder = tmp_path_factory.mktemp("amended")
    root = folder / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    other, log = changed(config, folder / "other.yaml"), folder / "log"
    assert start(other, root, log, "--amend", **SPARE).wait(600) == 0, log.read_text()[-3000:]
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


# --- a whole workflow, really stopped in a stage ---------------------------------------------------------------------


class Workflows:
    """Two configurations of one recording, and what the second one's run is when it is alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.old = write_config(folder, demos=3, samples=6, workers=2, trained=True)
        self.new = changed(self.old, folder / "new.yaml")
        self.finish(self.new, folder / "alone")
        self.wanted = snapshot(folder / "alone")

    def begin(self, config: Path, root: Path, *more: str) -> subprocess.Popen[bytes]:
        command = forking_leicos("run", str(config), "--out", str(root), "--workers", "2", *more)
        with root.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(command, env=environment(SPARE), stdout=log, stderr=log)

    def finish(self, config: Path, root: Path, *more: str) -> None:
        assert self.begin(config, root, *more).wait(600) == 0, root.with_suffix(".log").read_text()[-3000:]

    def stopped_in(self, stage: str, root: Path) -> tuple[subprocess.Popen[bytes], dict[int, str]]:
        """A workflow of the old configuration that stands still while a stage is at work: at a random moment of it."""
        while True:
            shutil.rmtree(root, ignore_errors=True)
            process = self.begin(self.old, root)
            while not list(root.glob(f"logs/*/*.{stage}(*.log")):
                assert process.poll() is None, root.with_suffix(".log").read_text()[-3000:]
                time.sleep(0.002)
            time.sleep(random.uniform(0, 0.3))
            frozen = process_tree.freeze(process.pid)
            if not list(root.glob(f"records/{stage}/*.json")):
                return process, frozen
            process_tree.send(frozen, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> Workflows:
    return Workflows(tmp_path_factory.mktemp("stopped"))


@pytest.mark.soak
@pytest.mark.parametrize("stage", WHOLE)
def test_a_workflow_stopped_in_a_stage_and_continued_after_the_amendment_changes_nothing(
    stage: str, workflows: Workflows
) -> None:
    root = workflows.folder / stage
    process, frozen = workflows.stopped_in(stage, root)
    workflows.finish(workflows.new, root, "--amend")
    assert snapshot(root) == workflows.wanted
    with plugins():
        before = current(root, WHOLE)
    assert set(before) == set(WHOLE)
    process_tree.send(frozen, signal.SIGCONT)
    assert process.wait(600) == 0, root.with_suffix(".log").read_text()[-3000:]
    assert len(list(root.glob(f"records/{stage}/*.json"))) == 2, "the old worker committed nothing"
    with plugins():
        assert current(root, WHOLE) == before
    assert snapshot(root) == workflows.wanted
    assert check(str(root)).damaged == ()
    records = {path: path.read_bytes() for path in root.glob("records/*/*.json")}
    workflows.finish(workflows.new, root)
    assert {path: path.read_bytes() for path in root.glob("records/*/*.json")} == records
    assert snapshot(root) == workflows.wanted
