"""controls: replays that give the labels' success rate a meaning.

Ceilings: the samples' true actions (at the control rate, and at dataset rows like the labels), the demos' own actions
(full rate, and resampled). Floors: another demo's labels on this start state, and a sample's own labels with shuffled
rows. Between them: the IDM's labels on the real videos of held-out demos, which is labelling without generation.
Truth is read here, for scoring only.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends.requests import ReplayRequest, ReplayResult
from leicos_jobs.core import logs, signals
from leicos_jobs.core.errors import DefectError, RetryError
from leicos_jobs.core.stages import CONTROLS
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.sources import open_source
from leicos_jobs.judge.truth import GROUPS, held_out_labels, read_truth
from leicos_jobs.robots.resample import to_control_rate
from leicos_jobs.run import identity, layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.stages.replay import ReplayStage, replay_spec
from leicos_jobs.work import messages
from leicos_jobs.work.child import Child
from leicos_jobs.work.sources import fetch_source, require_demo
from leicos_jobs.work.whole import whole_stage

BATCH = 16


def controls(run: Run) -> StageRecord:
    """Run the stage: controls/controls.json, group -> list of {sample, metrics}."""
    results = Results(run)

    def build(folder: Path) -> dict[str, Any]:
        states = results.samples_standing.states
        labelled = [state for state in states if state.label is not None and not state.no_replay]
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            replayed = _replay_all(run, labelled, Path(name))
        (folder / layout.CONTROLS).write_text(json.dumps(replayed, indent=1))
        return {group: len(items) for group, items in replayed.items()}

    return whole_stage(results, CONTROLS, build)


def _replay_all(run: Run, labelled: Sequence[State], scratch: Path) -> dict[str, list[dict[str, Any]]]:
    results: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    requests = _requests(run, labelled, scratch)
    if (first := next(requests, None)) is None:
        return results
    requests = chain([first], requests)
    child = Child(replay_spec(run, scratch))
    try:
        child.ready("controls")
        while batch := list(islice(requests, BATCH)):
            for result in _replayed(child, batch):
                group, _, name = result.sample.partition("/")
                results[group].append({"name": name, "metrics": result.metrics.facts()})
            logs.event("controls.replayed", group=batch[-1].sample.partition("/")[0], count=len(batch))
    except EOFError:
        raise DefectError(f"controls: the simulator died (exit {child.kill()})") from None
    finally:
        child.kill()
    return results


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
                raise DefectError(f"controls: the simulator failed: {text}\n{where}")
            case messages.Retry(text, fix):
                raise RetryError(text, fix=fix)


def _requests(run: Run, labelled: Sequence[State], scratch: Path) -> Iterator[ReplayRequest]:
    yield from _sample_requests(run, labelled, scratch)
    yield from _demo_requests(run, scratch)


def _sample_requests(run: Run, labelled: Sequence[State], scratch: Path) -> Iterator[ReplayRequest]:
    """Truth (where a generator knows it), another demo's labels, shuffled labels: for every labelled sample."""
    stage = ReplayStage(run)
    for number, state in enumerate(labelled):
        label, video = state.label, state.generate
        if label is None or video is None:
            continue
        actions = read_table(run.commits.fetch(label, scratch))[0]["action"]
        known = read_truth(run, state, scratch)
        if known is not None:
            columns, _ = known
            request = stage.request_for(state.sample, columns["action"])
            yield dataclasses.replace(request, sample=f"truth_resampled/{state.sample.id}")
            if "action_full" in columns:
                request = dataclasses.replace(request, actions=columns["action_full"])
                yield dataclasses.replace(request, sample=f"truth/{state.sample.id}")
        other = _other(labelled, number)
        if other is not None and other.label is not None:
            foreign = read_table(run.commits.fetch(other.label, scratch))[0]["action"]
            request = stage.request_for(state.sample, foreign)
            yield dataclasses.replace(request, sample=f"other_demo/{state.sample.id}")
        order = np.random.default_rng(number).permutation(len(actions))
        request = stage.request_for(state.sample, actions[order])
        yield dataclasses.replace(request, sample=f"shuffled/{state.sample.id}")


def _other(labelled: Sequence[State], number: int) -> State | None:
    """The labelled sample half the plan away, or the next one that starts from another demo."""
    for step in range(len(labelled)):
        other = labelled[(number + len(labelled) // 2 + step) % len(labelled)]
        if other.sample.episode != labelled[number].sample.episode:
            return other
    return None


def _demo_requests(run: Run, scratch: Path) -> Iterator[ReplayRequest]:
    """The demos' own actions at full rate and resampled, and the IDM's labels on held-out demos."""
    stage = ReplayStage(run)
    real = held_out_labels(Results(run), scratch)
    can = identity.no_replay(run.config, run.robot)
    items = [item for item in stage.episodes.values() if not can[item.states]]
    for name in sorted({item.file for item in items}):
        with open_source(fetch_source(name, run, scratch), run.robot, probed=True) as recording:
            for item in (item for item in items if item.file == name):
                demo = recording.demo(item.demo, (run.config.source.camera,))
                require_demo(demo, item)
                start = demo.state_at(item.first_row)
                motor = demo.motor_actions
                resampled = to_control_rate(motor[item.rows()], item.stride, stage.robot)
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
                    labels = to_control_rate(real[item.episode_index], item.stride, stage.robot)
                    yield dataclasses.replace(base, sample=f"idm_on_real/{item.episode_index}", actions=labels)
