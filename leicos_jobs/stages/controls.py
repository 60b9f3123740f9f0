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
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends.base import ReplayRequest, ReplayResult
from leicos_jobs.core import logs, signals
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError, InputError, RetryError
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.judge.truth import GROUPS, held_out_labels, read_truth
from leicos_jobs.robots.resample import to_control_rate
from leicos_jobs.run import identity
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.states import read_states
from leicos_jobs.stages.replay import ReplayStage, check_metrics, replay_spec
from leicos_jobs.work.child import Child
from leicos_jobs.work.sources import fetch_source
from leicos_jobs.work.whole import needed, whole_stage

VERSION = 1
BATCH = 16


def controls(run: Run) -> StageRecord:
    """Run the stage: controls/controls.json, group -> list of {sample, metrics}."""
    plan, idm = needed(run, "plan"), needed(run, "train-idm")
    labelled = [state for state in read_states(run, run.samples(), "label") if state.label is not None]
    labels = digest_of([[state.sample.id, state.label.sha256] for state in labelled if state.label])
    settings = identity.chain_settings(run.config, None).replay

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            results = _replay_all(run, labelled, Path(name))
        (folder / "controls.json").write_text(json.dumps(results, indent=1))
        return {group: len(items) for group, items in results.items()}

    return whole_stage(
        run,
        "controls",
        version=VERSION,
        settings=settings,
        inputs={"plan": plan.digest(), "idm": idm.digest(), "labels": labels},
        prefix="controls",
        build=build,
    )


def _replay_all(run: Run, labelled: Sequence[State], scratch: Path) -> dict[str, list[dict[str, Any]]]:
    results: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
    child = Child(replay_spec(run, scratch))
    try:
        _expect(child, "ready", None)
        pending: list[ReplayRequest] = []
        for request in _requests(run, labelled, scratch):
            pending.append(request)
            if len(pending) == BATCH:
                _replay(child, pending, results)
                pending = []
        if pending:
            _replay(child, pending, results)
    finally:
        child.kill()
    return results


def _replay(child: Child, requests: list[ReplayRequest], results: dict[str, list[dict[str, Any]]]) -> None:
    signals.check()
    child.connection.send(requests)

    def take(result: ReplayResult) -> None:
        check_metrics(result)
        group, _, name = result.sample.partition("/")
        results[group].append({"name": name, "metrics": result.metrics})

    _expect(child, "end", take)
    logs.event("controls.replayed", group=requests[-1].sample.partition("/")[0], count=len(requests))


def _expect(child: Child, wanted: str, take: Any) -> None:
    while True:
        try:
            message = child.receive(1.0)
        except EOFError:
            raise DefectError(f"controls: the simulator died (exit {child.kill()})") from None
        signals.check()
        if message is None or message[0] == "started":
            continue
        if message[0] == "result":
            take(message[1])
        elif message[0] == "refused":
            raise InputError(message[1], fix=message[2])
        elif message[0] == "retry":
            raise RetryError(message[1], fix=message[2])
        elif message[0] == wanted:
            return
        else:
            raise DefectError(f"controls: the simulator failed: {message[1:]}")


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
    real = held_out_labels(run, scratch)
    for name in sorted({item.file for item in stage.episodes.values()}):
        with Recording(fetch_source(name, run, scratch)) as recording:
            for item in (item for item in stage.episodes.values() if item.file == name):
                demo = recording.demo(item.demo, (run.config.source.camera,))
                start = demo.state_at(item.first_row)
                rows = item.first_row + item.stride * np.arange(item.frames)
                motor = stage.robot.to_motor(demo.actions)
                resampled = to_control_rate(motor[rows], item.stride, stage.robot)
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
