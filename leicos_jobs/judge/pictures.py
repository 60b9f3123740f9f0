"""The report's pictures: contact sheets, plots, and samples with their replay beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.judge.curves import learning_curves
from leicos_jobs.judge.sample_table import outcome, tone
from leicos_jobs.judge.score import Score, Scored
from leicos_jobs.run import episodes
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results

SHOWN = 12
"""Videos on a contact sheet."""
BESIDE = 3
"""Samples whose video is shown beside its replay."""

Film = Callable[[Scored], Iterator[NDArray[np.uint8]] | None]
"""Pictures of the replay of a sample's labels, one per frame of its video; None where the replay draws none."""


@dataclass(frozen=True)
class Beside:
    """A sample that is shown closely. strip, trajectory: names of pictures; video: of a file to play, or empty."""

    title: str
    strip: str
    video: str
    trajectory: str


@dataclass(frozen=True)
class Pictures:
    """files: name -> file name of each picture. beside: samples shown closely."""

    files: dict[str, str]
    beside: list[Beside]


def draw(results: Results, score: Score, film: Film, folder: Path, scratch: Path) -> Pictures:
    """Make all pictures in `folder` that the run has something for. Raises InputError if the extra is not installed."""
    try:
        from leicos_jobs.judge import plots
        from leicos_jobs.judge.sheets import contact_sheet
    except ImportError as error:
        raise InputError(f"the report needs {error.name}", fix="pip install 'leicos[report]'") from None
    run, files = results.run, dict[str, str]()

    def picture(name: str) -> Path:
        files[name] = f"{name}.png"
        return folder / files[name]

    if results.current("convert") is None:
        return Pictures(files, [])
    contact_sheet(demo_strips(results, scratch), picture("demos"))
    if strips := sample_strips(run, score.samples, scratch):
        contact_sheet(strips, picture("generated"))
    joints, numbers = run.robot.action.names, score.numbers
    titles = {"held_out_demos": "real videos of demos that the IDM never saw", "generated": "generated videos"}
    for name, title in titles.items():
        if name in numbers["idm"]:
            plots.joint_errors(numbers["idm"][name], joints, picture(f"errors_{name}"), title)
    if any(isinstance(item, dict) and item.get("count") for item in numbers["replay"]["all"].values()):
        plots.success_bars(numbers["replay"], picture("success"))
    if numbers["gate"]["scores"]:
        plots.gate_scores(numbers["gate"]["scores"], picture("gate"))
    if numbers.get("coverage"):
        plots.coverage(numbers["coverage"], joints, picture("coverage"))
    if curves := learning_curves(results):
        plots.learning(curves, picture("learning"))
    demos = {item.episode_index: item for item in episodes.read(run, results)}
    shown = best_and_worst(score.samples)
    return Pictures(files, [_closely(run, score, item, demos, film, folder, scratch) for item in shown])


def _closely(
    run: Run, score: Score, item: Scored, demos: Mapping[int, Episode], film: Film, folder: Path, scratch: Path
) -> Beside:
    """One sample: strip, video with its replay, and its joints. demos: by episode."""
    from leicos_jobs.judge import plots
    from leicos_jobs.judge.beside import beside

    sample = item.state.sample
    assert item.state.generate is not None and item.labels is not None  # noqa: PT018 - `best_and_worst` chose it
    name, episode = sample.id[:8], demos[sample.episode]
    pictures = film(item)
    played = folder / f"beside_{name}.mp4" if pictures is not None else None
    beside(run.commits.fetch(item.state.generate, scratch), pictures, folder / f"beside_{name}.png", played)
    first = episode.frame(sample.row0)
    demo = score.actions[sample.episode][first : first + len(item.labels)]
    lines = {"labelled": item.labels}
    lines = ({"true": item.truth} if item.truth is not None else {"its demo": demo}) | lines
    side = sample.split.replace("_", " ")
    title = f"sample {name}, from {sample.demo} ({side}): {outcome(item)}"
    place = folder / f"trajectory_{name}.png"
    plots.trajectory(lines, run.robot.action.names, episode.fps, place, "actions")
    return Beside(title, f"beside_{name}.png", played.name if played else "", place.name)


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
    """Samples at the 10th, 50th and 90th percentile of label error, or, where no truth is known, of the error of the
    arm against its targets: neither the best nor the worst picked by hand."""
    known = [item for item in samples if item.labels is not None and item.state.generate is not None]
    if any(item.truth is not None for item in known):
        known = [item for item in known if item.truth is not None]
    known.sort(key=_error)
    if len(known) <= BESIDE:
        return known
    return [known[round(share * (len(known) - 1))] for share in (0.1, 0.5, 0.9)]


def _error(item: Scored) -> float:
    if item.truth is not None and item.labels is not None:
        return float(np.abs(item.labels - item.truth).mean())
    return item.state.metrics.tracking_error_deg if item.state.metrics is not None else 0.0
