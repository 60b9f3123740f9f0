"""report: static HTML without script, pictures beside it, and single.html with its pictures inside.

The Argo UI shows HTML artifacts under a policy that forbids script, video and data: URIs, so index.html has its
pictures as files; single.html is for a presigned link or a mail (docs/decisions/argo.md 2.6).
"""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import REPORT
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.judge.sample_table import outcome, table, tone, write_pages
from leicos_jobs.judge.score import Score, Scored, collect, optional
from leicos_jobs.judge.verdict import DatasetVerdict, verdict
from leicos_jobs.run import episodes, identity
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.stages.curate import read_decisions
from leicos_jobs.work.whole import whole_stage

REPORT_DIRECTORY = "LEICOS_REPORT_DIRECTORY"
"""Environment variable: the output artifact's folder in the pod."""
ARTIFACT_BUCKET = "LEICOS_ARTIFACT_BUCKET"
"""Environment variable of the chart: the bucket that Argo's artifacts go to."""
SHOWN = 12
"""Videos on a contact sheet."""
TRAJECTORIES = 3
TASKS_SHOWN = 3


def report(run: Run) -> StageRecord:
    """Run the stage. Raises InputError, after the report is written, if no sample passed curation."""
    results = Results(run)

    def build(folder: Path) -> dict[str, Any]:
        score = collect(results)
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            pictures = draw(results, score, folder, Path(name))
        page = render(results, score, pictures, folder)
        (folder / "index.html").write_text(page)
        (folder / "single.html").write_text(embed(page, folder))
        (folder / "score.json").write_text(json.dumps(score.numbers, indent=1))
        found = verdict_of(results, score)
        return {"pictures": len(pictures), "failed_checks": failed(score), "verdict": found.text, "good": found.good}

    record = whole_stage(results, REPORT, build)
    export(run, record)
    decisions = read_decisions(results)
    if not any(item.accepted for item in decisions):
        common = Counter(item.reason for item in decisions).most_common(3)
        raise InputError(
            "no sample passed curation: " + "; ".join(f"{count} x {reason}" for reason, count in common),
            fix=f"look at {run.store.uri}/{record.path('index.html')}; loosen `curate`, or improve the stages before",
        )
    return record


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


def draw(results: Results, score: Score, folder: Path, scratch: Path) -> dict[str, str]:
    """Make all pictures in `folder`; returns name -> file name."""
    try:
        from leicos_jobs.judge import plots
        from leicos_jobs.judge.sheets import contact_sheet
    except ImportError as error:
        raise InputError(f"the report needs {error.name}", fix="pip install 'leicos[report]'") from None
    run, pictures = results.run, dict[str, str]()

    def picture(name: str) -> Path:
        pictures[name] = f"{name}.png"
        return folder / pictures[name]

    contact_sheet(demo_strips(results, scratch), picture("demos"))
    strips = sample_strips(run, score.samples, scratch)
    if strips:
        contact_sheet(strips, picture("generated"))
    joints = run.robot.action.names
    idm = score.numbers["idm"]
    titles = {"held_out_demos": "real videos of demos that the IDM never saw", "generated": "generated videos"}
    for name, title in titles.items():
        if name in idm:
            plots.joint_errors(idm[name], joints, picture(f"errors_{name}"), title)
    if any(isinstance(item, dict) and item.get("count") for item in score.numbers["replay"]["all"].values()):
        plots.success_bars(score.numbers["replay"], picture("success"))
    if score.numbers["gate"]["scores"]:
        plots.gate_scores(score.numbers["gate"]["scores"], picture("gate"))
    fps = episodes.read(run, results)[0].fps
    for number, item in enumerate(best_and_worst(score.samples)):
        if item.labels is not None and item.truth is not None:
            title = f"sample {item.state.sample.id[:8]} from {item.state.sample.demo} ({item.state.sample.split})"
            plots.trajectory(item.labels, item.truth, joints, fps, picture(f"trajectory_{number}"), title)
    return pictures


def demo_strips(results: Results, scratch: Path) -> list[Any]:
    """The first demos, with their side of the split."""
    from leicos_jobs.judge.sheets import Strip

    run, dataset = results.run, results.needed("convert")
    items = episodes.read(run, results)
    sides = episodes.split(items, run.config)
    strips = []
    for item in items[: SHOWN // 2]:
        video = run.commits.fetch_file(dataset, video_file(item.episode_index, run.config.source.camera), scratch)
        side = sides[item.episode_index].replace("_", " ")
        strips.append(Strip(video, f"{item.demo}  {item.frames} frames  {side}"))
    return strips


def sample_strips(run: Run, samples: Sequence[Scored], scratch: Path) -> list[Any]:
    """Generated videos: refused ones first (two), then a spread over the others, with what became of them."""
    from leicos_jobs.judge.sheets import Strip

    made = [item for item in samples if item.state.generate is not None]
    refused = [item for item in made if item.state.refused is not None][:2]
    rest = [item for item in made if item not in refused]
    step = max(1, len(rest) // (SHOWN - len(refused)))
    strips = []
    for item in rest[::step][: SHOWN - len(refused)] + refused:
        if item.state.generate is not None:
            video = run.commits.fetch(item.state.generate, scratch)
            strips.append(Strip(video, f"{item.state.sample.id[:8]}  {outcome(item)}", tone(item)))
    return strips


def best_and_worst(samples: Sequence[Scored]) -> list[Scored]:
    """Samples at the 10th, 50th and 90th percentile of label error: neither the best nor the worst picked by hand."""
    known = [item for item in samples if item.labels is not None and item.truth is not None]
    known.sort(key=lambda item: float(abs(item.labels - item.truth).mean()))  # type: ignore[operator]
    if len(known) < TRAJECTORIES:
        return known
    return [known[round(share * (len(known) - 1))] for share in (0.1, 0.5, 0.9)]


def render(results: Results, score: Score, pictures: dict[str, str], folder: Path) -> str:
    """index.html; pages of samples that are too many for it are written to `folder`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from leicos_jobs.judge.plots import NAMES

    environment = Environment(loader=PackageLoader("leicos_jobs.judge", ""), autoescape=True, undefined=StrictUndefined)
    run = results.run
    environment.filters["percent"] = lambda value: "-" if value is None else f"{value:.0%}"
    environment.filters["degrees"] = lambda value: "-" if value is None else f"{value:.2f}"
    environment.filters["interval"] = interval
    reasons = {item.sample: item.reason for item in read_decisions(results)}
    paged = environment.get_template("samples.html.j2")
    pages = write_pages(score.samples, reasons, folder, lambda page: paged.render(page, config=run.config))
    tasks = list(dict.fromkeys(item.state.sample.task or run.config.source.task or "" for item in score.samples))
    return environment.get_template("report.html.j2").render(
        config=run.config,
        verdict=verdict_of(results, score),
        uri=run.store.uri,
        numbers=score.numbers,
        tasks=tasks if len(tasks) <= TASKS_SHOWN else [*tasks[:TASKS_SHOWN], f"{len(tasks) - TASKS_SHOWN} more tasks"],
        pictures=pictures,
        pages=pages,
        rows=[] if pages else list(table(score.samples, reasons)),
        convert=optional(results, "convert"),
        assembled=optional(results, "assemble"),
        generator=identity.generator_identity(run.config),
        checkpoint=results.artifact("post-train"),
        idm_facts=optional(results, "train-idm"),
        joints=run.robot.action.names,
        control_names={name: text.replace("\n", " ") for name, text in NAMES.items()},
        machine=f"{platform.machine()}, Python {platform.python_version()}",
    )


def interval(rate: Mapping[str, Any]) -> str:
    """A share with its 95 % interval, from what `score.rate` says."""
    return f"{rate['share']:.0%} ({rate['low']:.0%} to {rate['high']:.0%})" if rate["count"] else "-"


def embed(page: str, folder: Path) -> str:
    """The page with its pictures inside, and without links to files that are not beside it."""
    for path in sorted(folder.glob("*.png")):
        data = base64.b64encode(path.read_bytes()).decode()
        page = page.replace(f'src="{path.name}"', f'src="data:image/png;base64,{data}"')
    return re.sub(r'<a href="(?!https?:)[^"]*">(.*?)</a>', r"\1", page)
