"""The recipes of CONTRIBUTING.md, followed in a copy of the packages: how many places does a new stage touch?

A new backend's recipe is followed in tests/backends/test_example_backend.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.pages import ROOT

TABLE = "leicos_jobs/core/stages.py"
END_OF_TABLE = "STAGES = {\n"
LAST = "REPORT, FINISH,"

WHOLE_ENTRY = """TALLY = Stage(
    "tally", Kind.WHOLE, REPORTING, "Count the cameras.", settings=("source.camera",), prefix="tally"
)

"""
WHOLE_MODULE = """
from leicos_jobs.core.stages import TALLY
from leicos_jobs.run.results import Results
from leicos_jobs.work.whole import whole_stage


def tally(run):
    def build(folder):
        (folder / "tally.txt").write_text(run.config.source.camera)
        return {"cameras": 1}

    return whole_stage(Results(run), TALLY, build)
"""
SAMPLE_ENTRY = """CAPTION = Stage("caption", Kind.SAMPLE, GENERATION, "Say what a video shows.", retries=6,
    inputs=("round", "worker"), names_workflow=True, needs=("label",), settings=("source.task",), prefix="caption",
    in_round=True, follows="generate", after_gate=True)

"""
SAMPLE_MODULE = """
from pathlib import Path

from leicos_jobs.backends.base import Processor
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.run.results import read_states
from leicos_jobs.work.worker import Checked, SampleStage


class Captioner(Processor):
    def process(self, requests, started):
        for request in requests:
            started(request.sample)
            yield request


class CaptionStage(SampleStage):
    name = "caption"

    def states(self, samples):
        return read_states(self.run, samples, "caption")

    def spec(self, scratch: Path):
        return BackendSpec("leicos_jobs.stages.caption:Captioner", {})

    def request(self, state, scratch):
        return state

    def check(self, state, result, scratch):
        return Checked(None, {"caption": self.run.config.source.task}, {})
"""
WORKER_TASK = "            step(stages.LABEL, labels, after=stages.GATE),\n"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for package in ("leicos_jobs", "hera_workflows"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(root: Path, name: str, *changes: tuple[str, str]) -> None:
    path = root / name
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    path.write_text(text)


def places(root: Path) -> set[str]:
    """Files that are not those of the repository."""
    found = set()
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        original = ROOT / name
        if name.startswith(("leicos_jobs/", "hera_workflows/")) and (
            not original.is_file() or original.read_bytes() != path.read_bytes()
        ):
            found.add(name)
    return found


def python(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def leicos(root: Path, *arguments: str) -> str:
    return python(root, "-m", "leicos_jobs.cli.main", *arguments)


def tasks(root: Path, workflow: str, dag: str) -> list[str]:
    code = "import json; from hera_workflows.render import manifests; print(json.dumps(manifests()))"
    found = {item["metadata"]["name"]: item["spec"]["templates"] for item in json.loads(python(root, "-c", code))}
    (template,) = [item for item in found[workflow] if item["name"] == dag]
    return [item["name"] for item in template["dag"]["tasks"]]


def test_a_whole_stage_takes_three_places(copied: Path) -> None:
    edit(copied, TABLE, (END_OF_TABLE, WHOLE_ENTRY + END_OF_TABLE), (LAST, "REPORT, TALLY, FINISH,"))
    (copied / "leicos_jobs/stages/tally.py").write_text(WHOLE_MODULE)
    task = '        task(here, stages.REPORT, depends="assemble"),\n'
    edit(
        copied,
        "hera_workflows/pipeline.py",
        (task, task + '        task(here, stages.TALLY, depends="report"),\n'),
    )
    assert places(copied) == {TABLE, "leicos_jobs/stages/tally.py", "hera_workflows/pipeline.py"}

    assert "Count the cameras." in leicos(copied, "--help")
    assert "tally" in tasks(copied, "leicos-report", "main")
    recording, run = copied / "demos.hdf5", copied / "run"
    recording.write_bytes(b"not looked at")
    (copied / "c.yaml").write_text(f"source: {{files: [{recording}], task: Wave.}}\n")
    leicos(copied, "start", "--run", str(run), "--config", str(copied / "c.yaml"), "--outputs", str(copied / "out"))
    leicos(copied, "tally", "--run", str(run))
    (made,) = [path for path in (run / "tally").glob("*/tally.txt") if path.parent.name != "latest"]
    assert made.read_text() == "front"
    (record,) = (run / "records/tally").iterdir()
    before = record.read_bytes()
    leicos(copied, "tally", "--run", str(run))
    assert record.read_bytes() == before
    assert json.loads(leicos(copied, "status", str(run), "--json"))["whole_stages"]["tally"] is True
    assert json.loads(leicos(copied, "check", str(run), "--json"))["damaged"] == []


def test_a_stage_of_samples_takes_three_places(copied: Path) -> None:
    edit(copied, TABLE, (END_OF_TABLE, SAMPLE_ENTRY + END_OF_TABLE), ("LABEL, ACCOUNT,", "LABEL, CAPTION, ACCOUNT,"))
    (copied / "leicos_jobs/stages/caption.py").write_text(SAMPLE_MODULE)
    task = WORKER_TASK.replace("stages.LABEL", "stages.CAPTION").replace("stages.GATE", "stages.LABEL")
    edit(copied, "hera_workflows/rounds.py", (WORKER_TASK, WORKER_TASK + task))
    assert places(copied) == {TABLE, "leicos_jobs/stages/caption.py", "hera_workflows/rounds.py"}

    assert "--worker" in leicos(copied, "caption", "--help")
    assert tasks(copied, "leicos-generate", "worker") == ["generate", "gate", "label", "caption"]
    code = """
from leicos_jobs.core.stages import SAMPLE
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import parse_config
from leicos_jobs.run.identity import sample_rules
from leicos_jobs.run.samples import Sample
rules = sample_rules(parse_config("source: {files: [a.hdf5], task: Wave.}", "c"), "d")
sample = Sample(
    id="s", demo="d", demo_sha256="x", episode=0, split="train", row0=5, frames=9, prompt="p", seed=1, start="a"
)
def record(stage, **facts):
    return Record(stage=stage, key="k", sample="s", sha256=stage, facts=facts)
records = {"generate": record("generate"), "gate": record("gate", passed=True)}
assert SAMPLE.index("caption") == SAMPLE.index("label") + 1
assert rules.key("caption", sample, records) is None
one = rules.key("caption", sample, records | {"label": record("label")})
assert one and one != rules.key("caption", sample, records | {"label": record("label", rows=3)})
assert rules.key("caption", sample, records | {"label": record("label"), "gate": record("gate", passed=False)}) is None
"""
    python(copied, "-c", code)
