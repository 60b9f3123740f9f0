"""report: static HTML without script, pictures beside it, and single.html with its pictures inside.

The Argo UI shows HTML artifacts under a policy that forbids script, video and data: URIs, so index.html has its
pictures as files; single.html is for a presigned link or a mail (docs/decisions/argo.md 2.6).

Of a run that has failed or is still at work the same page is written to report/so-far/, which no record counts.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.base import Replayer
from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError, LeicosError
from leicos_jobs.core.stages import REPORT
from leicos_jobs.judge.coverage import coverage, object_places
from leicos_jobs.judge.page import Progress, embed, render
from leicos_jobs.judge.pictures import draw
from leicos_jobs.judge.score import Score, Scored, collect, optional
from leicos_jobs.judge.verdict import DatasetVerdict, unfinished, verdict
from leicos_jobs.run import episodes, layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.failures import go_on_command
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import status
from leicos_jobs.stages.curate import read_decisions
from leicos_jobs.stages.replay import ReplayStage, replay_spec
from leicos_jobs.work.whole import whole_stage

REPORT_DIRECTORY = "LEICOS_REPORT_DIRECTORY"
"""Environment variable: the output artifact's folder in the pod."""
ARTIFACT_BUCKET = "LEICOS_ARTIFACT_BUCKET"
"""Environment variable of the chart: the bucket that Argo's artifacts go to."""
SO_FAR_READ = 200
"""Samples whose labels are read for a page of a run that is not finished."""


def report(run: Run) -> StageRecord:
    """Run the stage. Raises InputError, after the report is written, if no sample passed curation."""
    results = Results(run)

    def build(folder: Path) -> dict[str, Any]:
        score = collect(results)
        found = verdict_of(results, score)
        pictures = write(results, score, found, folder)
        return {"pictures": pictures, "failed_checks": failed(score), "verdict": found.text, "good": found.good}

    record = whole_stage(results, REPORT, build)
    for key in list(run.store.list(layout.so_far(""))):
        run.store.delete(key)
    export(run, record)
    decisions = read_decisions(results)
    if not any(item.accepted for item in decisions):
        common = Counter(item.reason for item in decisions).most_common(3)
        raise InputError(
            "no sample passed curation: " + "; ".join(f"{count} x {reason}" for reason, count in common),
            fix=f"look at {run.store.uri}/{record.path('index.html')}; loosen `curate`, or improve the stages before",
        )
    return record


def so_far(run: Run, why: Sequence[str] = ()) -> str:
    """Write the page of a run without a report, from what is there; returns where. why: what failed, line by line."""
    results = Results(run)
    progress = Progress(status(run), why, go_on_command(run.store.uri))
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        folder = Path(name)
        write(results, collect(results, SO_FAR_READ), unfinished(why), folder, progress)
        former = set(run.store.list(layout.so_far("")))
        made = {layout.so_far(path.name): path for path in folder.iterdir()}
        for key, path in made.items():
            run.store.upload(key, path)
        for key in former - made.keys():
            run.store.delete(key)
    return f"{run.store.uri}/{layout.so_far('index.html')}"


def write(results: Results, score: Score, found: DatasetVerdict, folder: Path, progress: Progress | None = None) -> int:
    """Write the page, its pictures and its numbers to an empty folder; returns how many pictures there are."""
    run = results.run
    decisions = read_decisions(results) if results.current("curate") is not None else []
    accepted = {item.sample for item in decisions if item.accepted}
    if score.actions:
        inside = [item for item in score.samples if item.state.sample.id in accepted]
        fps = episodes.read(run, results)[0].fps
        covered = coverage(inside, score.actions, run.robot.action.degrees_per_unit(), fps)
        score.numbers["fps"] = fps
        score.numbers["coverage"] = covered and covered | {"places": object_places(run, score.samples, accepted)}
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        pictures = draw(results, score, Filming(run, Path(name)), folder, Path(name))
    reasons = {item.sample: item.reason for item in decisions}
    page = render(results, score, found, reasons, pictures, folder, progress)
    (folder / "index.html").write_text(page)
    (folder / "single.html").write_text(embed(page, folder))
    (folder / "score.json").write_text(json.dumps(score.numbers, indent=1))
    return len(list(folder.glob("*.png")))


class Filming:
    """Replays labels again for people to see, where the configured simulator runs here and draws. Never raises what a
    picture is not worth: the report is written without it."""

    def __init__(self, run: Run, scratch: Path) -> None:
        self.run, self.scratch = run, scratch
        self.stage = ReplayStage(run)

    @cached_property
    def _replayer(self) -> Replayer[Any]:
        """Made once: to open a simulator's scene takes seconds."""
        made: Replayer[Any] = replay_spec(self.run, self.scratch).make()
        return made

    def __call__(self, item: Scored) -> Iterator[NDArray[np.uint8]] | None:
        """Pictures of one sample's replay, one per frame; None if there are none."""
        if item.labels is None or not item.state.replayable or item.state.replay is None:
            return None
        config = self.run.config
        try:
            request = self.stage.request_for(item.state.sample, item.labels)
            stride = self.stage.episodes[item.state.sample.episode].stride
            film = self._replayer.film(request, (config.generate.width, config.generate.height), stride)
            return None if film is None else iter(list(film))
        except (LeicosError, ImportError, OSError, RuntimeError) as error:
            logs.event("report.no_film", sample=item.state.sample.id, error=f"{type(error).__name__}: {error}")
            return None


def failed(score: Score) -> list[str]:
    """Names of the red checks."""
    return [item["name"] for item in score.numbers["checks"] if not item["passed"]]


def verdict_of(results: Results, score: Score) -> DatasetVerdict:
    """Whether to train on the dataset."""
    reasons = Counter(item.reason for item in read_decisions(results) if not item.accepted)
    facts = [optional(results, stage) for stage in ("assemble", "curate")]
    return verdict(facts[0], facts[1], failed(score), reasons, results.config.generate.backend)


def export(run: Run, record: StageRecord) -> None:
    """Copy the pages to where Argo collects them as an artifact, if the workflow says where. The links into the run
    do not work from there; the pictures are beside the page."""
    directory, bucket = os.environ.get(REPORT_DIRECTORY), os.environ.get(ARTIFACT_BUCKET)
    if not directory:
        return
    if bucket and not f"{run.store.uri}/".startswith(f"s3://{bucket}/"):
        # A copy in a bucket that is not the run's may be refused, and would fail a run that has succeeded.
        logs.event("report.no_artifact", run=run.store.uri, artifacts=f"s3://{bucket}")
        return
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for name in record.files:
        (target / name).write_bytes(run.commits.read_file(record, name))
