"""The report of a large run: a page that a browser and the Argo UI can show, the samples in pages beside it."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from helpers.whole import commit_plan, commit_whole

from leicos_jobs.judge.page import embed, render
from leicos_jobs.judge.pictures import Pictures
from leicos_jobs.judge.sample_table import ROWS, TEXT
from leicos_jobs.judge.score import Controls, Score, Scored, gate_table, replay_table
from leicos_jobs.judge.truth import DEMO_GROUPS, SAMPLE_GROUPS
from leicos_jobs.judge.verdict import DatasetVerdict
from leicos_jobs.run import layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.failures import Failure
from leicos_jobs.run.opened import create_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample, dump_lines
from leicos_jobs.stages.curate import Decision, read_decisions

LIMIT = 2_000_000
LONG = "a reason of the backend's own that never ends, " * 100


def scored(count: int) -> Iterator[Scored]:
    """Samples of all outcomes; every tenth is quarantined with a very long error."""
    for number in range(count):
        sample = Sample(
            id=f"{number:020x}", demo=f"demo_{number % 50}", demo_sha256="d" * 64, episode=number % 50, split="train",
            row0=5, frames=140, prompt="Lift", seed=number, start="0" * 20,
        )  # fmt: skip
        if number % 10 == 0:
            failure = Failure(stage="generate", sample=sample.id, key="k", kind="failed", error=LONG)
            yield Scored(State(sample, {}), failure)
            continue
        metrics = {"success": True, "success_held": True, "max_lift": 0.1, "tracking_error_deg": 1.0}
        facts = {"gate": {"passed": True, "reasons": []}, "replay": {"metrics": metrics}}
        records = {
            stage: Record(
                stage=stage, key="k", sample=sample.id, object=f"{stage}/{sample.id}/{'e' * 16}.mp4", sha256="e" * 64,
                facts=facts.get(stage, {}),
            )
            for stage in ("generate", "gate", "label", "replay")
        }  # fmt: skip
        yield Scored(State(sample, {}, records))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A run with what the page needs of the stages before it."""
    config = RunConfig.model_validate({"source": {"files": ["a.hdf5"], "task": "Lift."}})
    run = create_run(str(tmp_path / "run"), config, known={"a.hdf5": "sha256:0"})
    commit_whole(run, "convert", episodes=50, left_out=[])
    commit_plan(run, [])
    decided = [Decision(sample=f"{2:020x}", accepted=True, reason=""), Decision(sample="3", accepted=False, reason="x")]
    commit_whole(run, "curate", {layout.CURATED: dump_lines(decided)})
    error = {"response_deg": [1.0], "previous_action_deg": [2.0]}
    commit_whole(run, "assemble", episodes=9, frames=900, state_error=error)
    return Results(run)


def page(results: Results, samples: list[Scored], folder: Path) -> str:
    controls: Controls = {group: {} for group in (*SAMPLE_GROUPS, *DEMO_GROUPS)}
    of_controls = {"labelled": 9000, "drawn": 500, "controlled": 500, "quarantined": 0}
    numbers = {
        "replay": replay_table(samples, controls) | {"controls": of_controls}, "gate": gate_table(samples),
        "checks": [], "idm": {}, "no_replay": {}, "stages": [], "wall_seconds": 0.0,
        "pod_hours": {}, "fps": 30.0,
    }  # fmt: skip
    reasons = {item.sample: item.reason for item in read_decisions(results)}
    verdict, pictures = DatasetVerdict(True, "Train on this."), Pictures({"demos": "demos.png"}, [])
    return render(results, Score(samples, controls, numbers), verdict, reasons, pictures, folder)


def test_the_page_of_ten_thousand_samples_stays_small_and_leads_to_every_sample(
    results: Results, tmp_path: Path
) -> None:
    samples = list(scored(10_000))
    text = page(results, samples, tmp_path)
    assert len(text.encode()) < LIMIT / 10
    linked = re.findall(r'href="(samples-\d+\.html)"', text)
    assert len(linked) == len(list(tmp_path.glob("samples-*.html"))) == 10_000 // ROWS
    seen: list[str] = []
    for name in linked:
        part = (tmp_path / name).read_text()
        assert len(part.encode()) < LIMIT
        beside = re.findall(r'href="(samples-[^"]+)"', part)
        assert beside
        assert set(beside) <= set(linked) - {name}
        seen += re.findall(r'<td class="n">5</td><td class="n">(\d+)</td>', part)
    assert seen == [str(number) for number in range(10_000)]
    assert 'href="samples' not in embed(text, tmp_path), "a mail has no pages beside it"


def test_what_fits_is_in_the_page_itself_with_reasons_cut(results: Results, tmp_path: Path) -> None:
    text = page(results, list(scored(ROWS)), tmp_path)
    assert list(tmp_path.glob("samples-*.html")) == []
    assert len(text.encode()) < LIMIT
    assert text.count("<tr><td><code>0000") == ROWS
    assert LONG[:100] in text.replace("&#39;", "'")
    assert LONG[: TEXT + 1] not in text.replace("&#39;", "'")
    assert ">yes</td>" in text


def test_the_pages_take_no_more_memory_where_there_are_more_of_them(results: Results, tmp_path: Path) -> None:
    peaks = []
    for count in (2 * ROWS, 6 * ROWS):
        samples = list(scored(count))
        page(results, samples, tmp_path)  # what is imported and compiled once
        tracemalloc.start()
        page(results, samples, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0], "three times the rows"
