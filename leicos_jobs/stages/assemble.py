"""assemble: one LeRobot v2.1 dataset from the accepted samples, in plan order. Videos are not encoded again.

Every row comes from its own sample: the label table names the digest of the video that was labelled, and a mismatch is
refused. observation.state starts from the demo's true state at row0 and follows the labels by the joints' response.
Episode numbers exist only here; meta/leicos/provenance.jsonl leads back from each.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core import signals
from leicos_jobs.core.errors import DefectError
from leicos_jobs.core.stages import ASSEMBLE
from leicos_jobs.formats import gr00t, lerobot_layout
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.episode_starts import EpisodeStart, write_starts
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.robots.response import Response, fit_response, free_running_error, previous_action_error
from leicos_jobs.run import episodes, identity, layout, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.stages.curate import read_decisions
from leicos_jobs.work.whole import whole_stage

PROVENANCE = "meta/leicos/provenance.jsonl"


def assemble(run: Run) -> StageRecord:
    """Run the stage. Without an accepted sample the record says 0 episodes, and no dataset is left in its place."""
    results = Results(run)

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            return _write(results, folder, Path(name))

    return whole_stage(results, ASSEMBLE, build)


def _write(results: Results, folder: Path, scratch: Path) -> dict[str, Any]:
    run = results.run
    response, errors = fit_states(results, scratch)
    robot, camera = run.robot, run.config.source.camera
    accepted = {item.sample for item in read_decisions(results) if item.accepted}
    if not accepted:
        return {"episodes": 0, "frames": 0, "response": response.to_json(), "state_error": errors}
    states = [state for state in results.samples_standing.states if state.sample.id in accepted]
    if len(states) != len(accepted):
        raise DefectError("the plan lacks samples that were curated; was it amended? run `leicos curate` again")
    real = {item.episode_index: item for item in episodes.read(run, results)}
    fps = next(iter(real.values())).fps
    generator = identity.generate_identity(run.config, results.artifact("post-train"))
    writer = DatasetWriter(folder, robot, (camera,), fps)
    stats, lines, begun, tasks = gr00t.StatsBuilder(), [], [], dict[str, int]()
    for number, state in enumerate(states):
        signals.check()
        actions, video = _sample(run, state, scratch)
        start = starts.read(run, state.sample.start)
        first = robot.state.to_motor(starts.joints(start, robot))
        made = response.states(first, robot.state_targets(actions))
        text = state.sample.task or run.config.source.task or ""
        index = writer.add_episode(actions, made, text, {camera: video})
        first_index, task_index = writer.frames - len(actions), tasks.setdefault(text, len(tasks))
        columns = lerobot_layout.columns(
            actions, made, writer.fps, episode_index=index, first_index=first_index, task_index=task_index
        )
        stats.add(columns)
        lines.append(json.dumps({"episode_index": number} | provenance(state) | {"generator": generator}))
        begun.append(_start(number, state, start, real[state.sample.episode]))
        run.store.release(video)
    gr00t.write_meta(folder, robot, (camera,), stats)
    (folder / PROVENANCE).parent.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).write_text("\n".join(lines) + "\n")
    (folder / layout.CHECKS).write_text(json.dumps(checked(results), indent=1) + "\n")
    write_starts(folder, begun)
    info = writer.finish()
    return {
        "episodes": info["total_episodes"],
        "frames": info["total_frames"],
        "response": response.to_json(),
        "state_error": errors,
    }


def checked(results: Results) -> dict[str, Any]:
    """What the labels were judged by: replay with the task's rule, and the checks. It stays with the dataset."""
    config, facts = results.config, results.needed("curate").facts
    return {
        "success_required": config.curate.require_success,
        "replay": config.replay.model_dump(mode="json", include={"backend", "settings"}),
        "judged_by_checks": facts.get("judged_by_checks", 0),
        "accepted_unproven": facts.get("accepted_unproven", 0),
        "checks": facts.get("checks", []),
        "left_out": facts["left_out"],
    }


def _sample(run: Run, state: State, scratch: Path) -> tuple[NDArray[np.float32], Path]:
    """Labels and video of one sample, from their records; refused if the labels saw another video."""
    if state.generate is None or state.label is None:
        raise DefectError(f"sample {state.sample.id} was curated but is not labelled")
    columns, meta = read_table(run.commits.fetch(state.label, scratch))
    if meta["video"] != state.generate.sha256:
        raise DefectError(f"sample {state.sample.id}: its labels were made from another video")
    return columns["action"], run.commits.fetch(state.generate, scratch)


def _start(number: int, state: State, start: starts.Start, real: episodes.Episode) -> EpisodeStart:
    """Where an episode begins, for a simulator that is to carry it out again."""
    return EpisodeStart(
        episode_index=number,
        control_hz=real.control_hz,
        stride=real.stride,
        row=state.sample.row0,
        success=state.replay.facts["metrics"].get("success") if state.replay else None,
        state=start.scene if state.sample.states else None,
    )


def provenance(state: State) -> dict[str, Any]:
    """Where an episode came from: demo, seed, models and scores, by digest."""
    sample = state.sample
    return {
        "sample": sample.id,
        "demo": sample.demo,
        "demo_sha256": sample.demo_sha256,
        "row0": sample.row0,
        "split": sample.split,
        "prompt": sample.prompt,
        "seed": sample.seed,
        "video_sha256": state.generate.sha256 if state.generate else None,
        "label_sha256": state.label.sha256 if state.label else None,
        "idm": state.label.inputs.get("idm") if state.label else None,
        "gate": state.gate.facts["scores"] if state.gate else None,
        "replay": state.replay.facts["metrics"] if state.replay else None,
        "keys": {name: record.key for name, record in state.records.items()},
    }


def fit_states(results: Results, scratch: Path) -> tuple[Response, dict[str, list[float]]]:
    """Fit the joints' response on the IDM's training demos; errors in degrees a joint on the held-out ones."""
    run = results.run
    folder = fetch_folder(run, results.needed("convert"), scratch)
    sides = episodes.split(episodes.read(run, results), run.config)
    pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.float32]]]] = {"train": [], "held_out": []}
    for episode in Dataset(folder).episodes():
        pairs[sides[episode.index]].append((run.robot.state_targets(episode.actions), episode.states))
    response = fit_response(pairs["train"])
    test: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]] = pairs["held_out"] or pairs["train"]
    scale = run.robot.state.degrees_per_unit()
    return response, {
        "response_deg": [float(value) for value in free_running_error(response, test) * scale],
        "previous_action_deg": [float(value) for value in previous_action_error(test) * scale],
    }
