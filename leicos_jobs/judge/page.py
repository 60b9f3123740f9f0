"""The report's page: static HTML without script. It shows what a run has come to, finished, failed or still at work."""

from __future__ import annotations

import base64
import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.judge import made, words
from leicos_jobs.judge.pictures import Pictures
from leicos_jobs.judge.remarks import remarks
from leicos_jobs.judge.sample_table import table, write_pages
from leicos_jobs.judge.score import Score, optional
from leicos_jobs.judge.verdict import DatasetVerdict
from leicos_jobs.run import identity
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import RunStatus
from leicos_jobs.run.status_text import duration

TASKS_SHOWN = 3


@dataclass(frozen=True)
class Progress:
    """Of a run without a result. why: lines that say what failed; empty while it works. next: the command to go on."""

    status: RunStatus
    why: Sequence[str]
    next: str


def render(
    results: Results,
    score: Score,
    verdict: DatasetVerdict,
    reasons: Mapping[str, str],
    pictures: Pictures,
    folder: Path,
    progress: Progress | None = None,
) -> str:
    """index.html; pages of samples that are too many for it are written to `folder`. reasons: sample -> why curate left
    it out, empty for those that it took."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from leicos_jobs.judge.plots import NAMES

    environment = Environment(loader=PackageLoader("leicos_jobs.judge", ""), autoescape=True, undefined=StrictUndefined)
    run, config = results.run, results.config
    environment.filters["percent"] = lambda value: "-" if value is None else f"{value:.0%}"
    environment.filters["degrees"] = lambda value: "-" if value is None else f"{value:.2f}"
    environment.filters["interval"] = interval
    environment.filters["duration"] = duration
    paged = environment.get_template("samples.html.j2")
    pages = write_pages(score.samples, reasons, folder, lambda page: paged.render(page, config=config))
    tasks = list(dict.fromkeys(item.state.sample.task or config.source.task or "" for item in score.samples))
    return environment.get_template("report.html.j2").render(
        config=config,
        progress=progress,
        verdict=verdict,
        remarks=remarks(score.numbers, run.robot.action.names) if "idm" in score.numbers else [],
        uri=run.store.uri,
        dataset=made.folder_of(results),
        load=made.load_lines(results),
        cost=made.cost(results, score.numbers),
        versions=made.versions(results),
        settings=json.dumps(config.model_dump(mode="json", exclude={"webhook"}, exclude_defaults=True), indent=1),
        words=words.chosen,
        numbers=score.numbers,
        tasks=tasks if len(tasks) <= TASKS_SHOWN else [*tasks[:TASKS_SHOWN], f"{len(tasks) - TASKS_SHOWN} more tasks"],
        pictures=pictures.files,
        beside=pictures.beside,
        pages=pages,
        rows=[] if pages else list(table(score.samples, reasons)),
        convert=optional(results, "convert"),
        assembled=optional(results, "assemble"),
        generator=identity.generator_identity(config),
        checkpoint=results.artifact("post-train") if identity.is_trained(config) else None,
        idm_facts=optional(results, "train-idm"),
        joints=run.robot.action.names,
        control_names={name: text.replace("\n", " ") for name, text in NAMES.items()},
        machine=f"{platform.machine()}, Python {platform.python_version()}",
    )


def interval(rate: Mapping[str, Any]) -> str:
    """A share with its 95 % interval, from what `score.rate` says."""
    return f"{rate['share']:.0%} ({rate['low']:.0%} to {rate['high']:.0%})" if rate["count"] else "-"


def embed(page: str, folder: Path) -> str:
    """The page with its pictures and videos inside, and without links to files that are not beside it."""
    for suffix, kind in (("png", "image/png"), ("mp4", "video/mp4")):
        for path in sorted(folder.glob(f"*.{suffix}")):
            if f'src="{path.name}"' in page:
                data = base64.b64encode(path.read_bytes()).decode()
                page = page.replace(f'src="{path.name}"', f'src="data:{kind};base64,{data}"')
    return re.sub(r'<a href="(?!https?:|#)[^"]*">(.*?)</a>', r"\1", page)
