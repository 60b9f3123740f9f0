"""Controls of a real small run: capped, committed per sample, resumed at the sample, quarantined alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from helpers.command_line import leicos
from helpers.identity import PLUGINS, environment, write_config
from helpers.plots import SPARE

from leicos_jobs.run.check import check
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.run.orphans import orphans
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import status

pytestmark = pytest.mark.xdist_group("small-run")
SAMPLES, MOST = 12, 6


def amended(folder: Path, **replay: object) -> Path:
    path = folder / "identity.yaml"
    config = yaml.safe_load(path.read_text())
    config["replay"] |= replay
    path.write_text(yaml.safe_dump(config))
    return path


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return leicos(*arguments, env=environment(SPARE))


def control(folder: Path, workflow: str) -> int:
    """Do what is missing of the controls, as a workflow does it; returns by how many workers."""
    where = ("--run", str(folder / "run"), "--workflow", workflow)
    assert call("fan-in", *where, "--outputs", str(folder / workflow)).returncode == 0
    workers = json.loads((folder / workflow / "controls-workers").read_text())
    for worker in workers:
        assert call("controls", *where, "--worker", str(worker)).returncode == 0
    return len(workers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("controls")
    write_config(folder, demos=4, samples=SAMPLES)
    path = amended(folder, controls_at_most=MOST, samples_per_worker=12)
    done = call("run", str(path), "--out", str(folder / "run"), "--workers", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.syspath_prepend(str(PLUGINS))
    return open_run(str(folder / "run"))


def records(run: Run) -> dict[str, dict[str, object]]:
    """Committed controls: sample -> its record as written."""
    keys = [key for key in run.store.list("controls/") if key.endswith(".json")]
    return {key.split("/")[1]: json.loads(run.store.read(key)) for key in keys}


def test_no_more_samples_than_asked_for_are_controlled_each_in_all_its_groups(run: Run, folder: Path) -> None:
    assert len(records(run)) == MOST
    for record in records(run).values():
        assert set(record["facts"]["controls"]) == {"truth_resampled", "other_demo", "shuffled"}
        assert set(record["inputs"]) == {"labels", "start", "truth", "other"}
    workers = {path.name for path in folder.glob("run/logs/*/*controls*")}
    assert len(workers) == 2, "a worker of 12 replays has a quarter as many controlled samples"


def test_controls_replay_what_they_say(run: Run) -> None:
    """The simulator's stand-in says whose actions it was given in the first row."""
    drawn = Results(run).controls_standing.states
    assert {state.sample.split for state in drawn} == {"train", "held_out"}
    for state in drawn:
        assert state.controls["truth_resampled"].facts()["seen"] == state.sample.id
        assert state.controls["shuffled"].facts()["seen"] == state.sample.id
        assert state.controls["other_demo"].facts()["seen"] != state.sample.id
        assert state.controls["shuffled"].facts()["start"] == state.replay.facts["metrics"]["start"]


def test_the_report_says_how_many_were_controlled_and_gives_intervals(run: Run, folder: Path) -> None:
    score = json.loads((folder / "run/report/latest/score.json").read_text())["replay"]
    assert score["controls"] == {"labelled": SAMPLES, "drawn": MOST, "controlled": MOST, "quarantined": 0}
    assert (score["all"]["labels"]["count"], score["all"]["other_demo"]["count"]) == (SAMPLES, MOST)
    assert score["all"]["of_ceiling"] == 1.0, "of the same samples"
    assert score["demo"]["count"] == 4
    page = (folder / "run/report/latest/index.html").read_text()
    assert f"{MOST} of {SAMPLES} labelled samples were controlled, drawn from seen and unseen demos" in page
    assert "100% (61% to 100%)" in page  # 6 of 6, Wilson


def test_status_check_and_gc_know_them(run: Run) -> None:
    stage = next(item for item in status(run).stages if item.stage == "controls")
    assert (stage.committed, stage.missing, stage.quarantined) == (MOST, 0, 0)
    assert check(run.store.uri).damaged == ()
    assert list(orphans(run)) == []


def test_what_is_committed_is_kept_and_only_the_rest_is_done(run: Run, folder: Path) -> None:
    before = records(run)
    gone = sorted(before)[0]
    for key in list(run.store.list(f"controls/{gone}/")):
        run.store.delete(key)
    assert control(folder, "again") == 1, "one sample is worth one worker"
    after = records(run)
    assert set(after) == set(before)
    kept = before.keys() - {gone}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_larger_cap_adds_samples_and_changes_no_dataset(run: Run, folder: Path) -> None:
    before = records(run)
    dataset = (folder / "run/synthetic/latest").resolve()
    path = amended(folder, controls_at_most=SAMPLES, samples_per_worker=12)
    done = call("run", str(path), "--out", str(folder / "run"), "--workers", "2", "--amend")
    assert done.returncode == 0, done.stderr[-3000:]
    now = open_run(str(folder / "run"))
    assert len(records(now)) == SAMPLES
    assert {name: record for name, record in records(now).items() if name in before} == before
    assert (folder / "run/synthetic/latest").resolve() == dataset
    assert f"All {SAMPLES} labelled samples were controlled" in (folder / "run/report/latest/index.html").read_text()


def test_a_sample_whose_controls_fail_is_quarantined_there_and_stays_in_the_dataset(run: Run, folder: Path) -> None:
    from leicos_jobs.run import failures

    broken = Results(run).controls_standing.states[0]
    for key in list(run.store.list(f"controls/{broken.sample.id}/")):
        run.store.delete(key)
    for _ in range(run.config.rounds.quarantine_after):
        note = failures.Failure(
            stage="controls", sample=broken.sample.id, key=broken.keys["controls"], kind="failed", error="no contact"
        )
        failures.note(run.store, note)
    assert control(folder, "broken") == 1
    seen = status(run)
    stage = next(item for item in seen.stages if item.stage == "controls")
    assert (stage.committed, stage.missing, stage.quarantined) == (SAMPLES - 1, 0, 1)
    assert (seen.labelled, seen.quarantined) == (SAMPLES, 0)
    results = Results(run)
    assert results.current("assemble") is not None, "the dataset stands"
    assert results.current("report") is None, "the report tells of controls, and is written again"
    assert call("report", "--run", str(folder / "run")).returncode == 0
    assert "1 that were drawn are quarantined" in (folder / "run/report/latest/index.html").read_text()
