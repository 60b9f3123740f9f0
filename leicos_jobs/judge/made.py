"""What a run made, for the top of its report: the dataset, the lines that load it, what it cost, what made it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leicos_jobs import __version__
from leicos_jobs.core.stages import WHOLE, Pool
from leicos_jobs.formats.lerobot_v21 import VERSION
from leicos_jobs.run.results import Results
from leicos_jobs.run.status import makers
from leicos_jobs.store import S3


@dataclass(frozen=True)
class Line:
    """One way to use the dataset. what: for whom; text: the lines to copy."""

    what: str
    text: str


def folder_of(results: Results) -> str:
    """Where the synthetic dataset lies, as a path or URI; empty if there is none."""
    record = results.current("assemble")
    return f"{results.run.store.uri}/{record.folder}" if record is not None and record.files else ""


def load_lines(results: Results) -> list[Line]:
    """The exact lines that load the synthetic dataset; empty if there is none."""
    if not (folder := folder_of(results)):
        return []
    run, name = results.run, results.config.name
    lines, uri = [], shlex.quote(run.store.uri)
    if run.store.uri.startswith(S3):
        lines.append(Line("bring it here", f"aws s3 sync {shlex.quote(folder)} {name}"))
        folder = name
    v30 = f"leicos to-lerobot {uri} --format v3.0 --out {name}-v30"
    load = (
        'from lerobot.datasets.lerobot_dataset import LeRobotDataset\ndataset = LeRobotDataset("leicos/{}", root={!r})'
    )
    lines.append(Line("lerobot 0.4 and later (LeRobot v3.0)", f"{v30}\n{load.format(name, f'{name}-v30')}"))
    lines.append(Line("lerobot 0.3 (LeRobot v2.1)", load.format(name, folder)))
    gr00t = run.robot.gr00t
    keys = [f"video.{results.config.source.camera}"]
    for kind, vector in (("state", run.robot.state), ("action", run.robot.action)):
        keys += [f"{kind}.{part}" for part, _, _ in run.robot.modalities(vector)]
    text = (
        "from gr00t.data.dataset import LeRobotSingleDataset\n"
        f"# keys of your modality configs: {', '.join(keys)}\n"
        f'dataset = LeRobotSingleDataset({folder!r}, modality_configs=configs, embodiment_tag="{gr00t.tag}")'
    )
    lines.append(Line("GR00T", text))
    demos = shlex.quote(f"{run.store.uri}/{results.needed('convert').folder}")
    lines.append(Line("with the demos, in one dataset", f"leicos merge {demos} {uri} --out {name}-all"))
    lines.append(Line("LeIsaac's HDF5", f"leicos to-leisaac {uri} --out {name}.hdf5"))
    return lines


def cost(results: Results, numbers: Mapping[str, Any]) -> str:
    """Pod hours and, where pods may have been rented, dollars by the configuration's prices. For a run in a folder
    nothing is rented."""
    hours, prices = numbers["pod_hours"], results.config.cost.dollars_per_hour
    said = ", ".join(f"{pool} {value:.2f}" for pool, value in hours.items())
    text = f"{sum(hours.values()):.2f} hours of its processes ({said})" if hours else "nothing measured yet"
    if not results.run.store.uri.startswith(S3):
        return f"{text}; no price, since it ran on a machine of yours"
    priced = {pool: prices.get(pool, 0.0) for pool in hours if pool != Pool.CPU}
    dollars = sum(hours[pool] * price for pool, price in priced.items())
    return f"{text}; {dollars:.2f} dollars at the configuration's prices per hour, at least: killed pods leave no time"


def versions(results: Results) -> dict[str, list[str]]:
    """Versions, commits and images that made the records that count, the most frequent first, and what wrote this."""
    states = results.all_states if results.current("plan") is not None else []
    counts = makers(states, {stage: results.current(stage) for stage in WHOLE})
    found = {name: [f"{value} ({count} records)" for value, count in values.items()] for name, values in counts.items()}
    return {name: values for name, values in found.items() if values} | {
        "dataset": [f"LeRobot {VERSION}"],
        "this page": [f"leicos {__version__}"],
    }
