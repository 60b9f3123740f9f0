"""replay-demos: the demos' own actions again, at full rate and resampled, and the IDM's labels on held-out demos.

The first two say what replay can do at best on this recording; the third is labelling without generation. No sample is
needed, so it runs beside the generation.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from leicos_jobs.backends.requests import ReplayRequest, ReplayResult
from leicos_jobs.core import logs, signals
from leicos_jobs.core.errors import DefectError, RetryError
from leicos_jobs.core.stages import REPLAY_DEMOS
from leicos_jobs.formats.sources import open_source
from leicos_jobs.judge.truth import DEMO_GROUPS, held_out_labels
from leicos_jobs.robots.resample import to_control_rate
from leicos_jobs.run import episodes, identity, layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.controls import Candidate, choose
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.stages.replay import replay_spec
from leicos_jobs.work import messages
from leicos_jobs.work.child import Child
from leicos_jobs.work.sources import fetch_source, require_demo
from leicos_jobs.work.whole import whole_stage

BATCH = 16


def replay_demos(run: Run) -> StageRecord:
    """Run the stage: demos/controls.json, group -> list of {name, metrics}; name: the episode's index."""
    results = Results(run)

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            replayed = _replay_all(results, Path(name))
        (folder / layout.CONTROLS).write_text(json.dumps(replayed, indent=1))
        return {group: len(items) for group, items in replayed.items()}

    return whole_stage(results, REPLAY_DEMOS, build)


def _replay_all(results: Results, scratch: Path) -> dict[str, list[dict[str, Any]]]:
    replayed: dict[str, list[dict[str, Any]]] = {group: [] for group in DEMO_GROUPS}
    requests = _requests(results, scratch)
    if (first := next(requests, None)) is None:
        return replayed
    requests = chain([first], requests)
    child = Child(replay_spec(results.run, scratch))
    try:
        child.ready("replay-demos")
        while batch := list(islice(requests, BATCH)):
            for result in _replayed(child, batch):
                group, _, name = result.sample.partition("/")
                replayed[group].append({"name": name, "metrics": result.metrics.facts()})
            logs.event("replay-demos.replayed", group=batch[-1].sample.partition("/")[0], count=len(batch))
    except EOFError:
        raise DefectError(f"replay-demos: the simulator died (exit {child.kill()})") from None
    finally:
        child.kill()
    return replayed


def _replayed(child: Child, requests: Sequence[ReplayRequest]) -> Iterator[ReplayResult]:
    """All results of a batch. Raises DefectError when the simulator fails, EOFError when it dies."""
    signals.check()
    child.send(requests)
    while not isinstance(answer := child.receive(1.0), messages.End):
        signals.check()
        match answer:
            case messages.Result(result):
                yield result
            case messages.Failed(_, text, where):
                raise DefectError(f"replay-demos: the simulator failed: {text}\n{where}")
            case messages.Retry(text, fix):
                raise RetryError(text, fix=fix)


def _requests(results: Results, scratch: Path) -> Iterator[ReplayRequest]:
    run = results.run
    items, real = _drawn(results), held_out_labels(results, scratch)
    for name in sorted({item.file for item in items}):
        with open_source(fetch_source(name, run, scratch), run.robot, probed=True) as recording:
            for item in (item for item in items if item.file == name):
                demo = recording.demo(item.demo, (run.config.source.camera,))
                require_demo(demo, item)
                start = demo.state_at(item.first_row)
                motor = demo.motor_actions
                resampled = to_control_rate(motor[item.rows()], item.stride, run.robot)
                base = ReplayRequest(
                    sample=f"demo/{item.episode_index}",
                    start=start,
                    actions=motor[item.first_row :],
                    control_hz=item.control_hz,
                    hold=run.config.replay.hold,
                    repeats=run.config.replay.repeats,
                )
                yield base
                yield dataclasses.replace(base, sample=f"demo_resampled/{item.episode_index}", actions=resampled)
                if item.episode_index in real:
                    labels = to_control_rate(real[item.episode_index], item.stride, run.robot)
                    yield dataclasses.replace(base, sample=f"idm_on_real/{item.episode_index}", actions=labels)


def _drawn(results: Results) -> list[Episode]:
    """The demos to replay, of those that can be: as many of each side of the split as `controls.draw` takes samples."""
    items = episodes.read(results.run, results)
    sides = episodes.split(items, results.config)
    can = identity.no_replay(results.config, results.run.robot)
    items = [item for item in items if not can[item.states]]
    named = [Candidate(str(item.episode_index), sides[item.episode_index], item.demo_sha256) for item in items]
    chosen = choose(named, results.config, lambda asked: asked)
    return [item for item in items if str(item.episode_index) in chosen]
