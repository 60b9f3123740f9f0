"""What stands for labels whose success nobody can tell: the run's own checks on videos whose actions are known.

The IDM's labels on the real videos of held-out demos must be right as far as anybody can measure, and a sample's own
labels must be smooth and begin with the actions that its conditioning frames are known to show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.requests import CONDITIONING_ACTIONS
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.judge import checks, metrics
from leicos_jobs.judge.truth import held_out_labels
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run import episodes, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.config import CurateConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder

F32 = NDArray[np.float32]
LEAST_ERROR = 0.01
"""Share of the joints' ranges: no labels are expected to be better."""


def judge_held_out(run: Run, actions: Mapping[int, F32], real: Mapping[int, F32]) -> dict[str, Any]:
    """Label errors on the held-out demos' real videos beside baselines. actions: of all demos; real: labels, both by
    episode, (rows, width) motor units. `real` must not be empty."""
    sides = episodes.split(episodes.read(run), run.config)
    training = [actions[index] for index, side in sides.items() if side == "train"]
    robot = run.robot.action
    known = [actions[index] for index in real]
    return metrics.judge(list(real.values()), known, training, robot.degrees_per_unit(), robot.motor_limits())


def label_checks(
    robot: Embodiment, actions: Mapping[int, F32], real: Mapping[int, F32], judged: Mapping[str, Any]
) -> list[checks.Check]:
    """The checks of labels that need no truth of generated videos. judged: of `judge_held_out`."""
    labels, demos = list(real.values()), [actions[index] for index in real]
    return [
        checks.alignment(labels, demos),
        checks.units(labels, demos, robot),
        *checks.accuracy(judged, robot.action.names),
        checks.smoothness(judged),
    ]


@dataclass(frozen=True)
class Proof:
    """What a run's checks say of its labels. problem: why they prove nothing; empty if all passed. flips: share of the
    true actions' velocity pairs that change their sign. error: of the labels of held-out demos, as a share of the
    joints' ranges."""

    checks: Sequence[checks.Check]
    problem: str
    flips: float
    error: float = 0.0

    def facts(self) -> list[dict[str, Any]]:
        """For records and a dataset's meta."""
        return [{"name": item.name, "passed": item.passed, "text": item.text} for item in self.checks]


def prove(results: Results, scratch: Path) -> Proof:
    """Run the checks of labels on the real videos of held-out demos."""
    run = results.run
    real = held_out_labels(results, scratch)
    dataset = Dataset(fetch_folder(run, results.needed("convert"), scratch))
    actions = {episode.index: episode.actions for episode in dataset.episodes()}
    flips = float(np.mean([metrics.sign_flips(each).mean() for each in actions.values()]))
    if not real:
        return Proof([], "no demo was held out (split.held_out_share), so nothing measures the labels", flips)
    found = label_checks(run.robot, actions, real, judge_held_out(run, actions, real))
    red = ", ".join(item.name for item in found if not item.passed)
    error = float(np.mean([_share(run.robot, labels, actions[index]) for index, labels in real.items()]))
    return Proof(found, f"the labels of held-out demos failed {red}" if red else "", flips, error)


def sample_problem(run: Run, state: State, proof: Proof, limits: CurateConfig, scratch: Path) -> str:
    """Why a sample's own labels are not believed, where no replay judges them; empty if they are."""
    if proof.problem:
        return f"not proven: {proof.problem}"
    if state.label is None:
        return ""
    actions = read_table(run.commits.fetch(state.label, scratch))[0]["action"]
    jitter = float(metrics.sign_flips(actions).mean()) - proof.flips
    if jitter > limits.jitter_max:
        return f"not proven: velocity flips its sign in {jitter:.0%} of the rows more than in the demos"
    error = start_error(run, state, actions)
    if error > limits.start_error_ratio_max * max(proof.error, LEAST_ERROR):
        usual = f"{proof.error:.1%} on held-out demos"
        return f"not proven: its first labels are off by {error:.1%} of the joints' ranges, {usual}"
    return ""


def start_error(run: Run, state: State, actions: F32) -> float:
    """Mean error of the labels of the conditioning frames against the demo's own actions there, as a share of each
    joint's range: a video begins with frames of its demo. NaN if those actions are not known."""
    robot = run.robot.action
    recorded = np.array(starts.read(run, state.sample.start).state.get(CONDITIONING_ACTIONS, ()), np.float32)
    if not recorded.size:
        return float("nan")
    stride = {item.episode_index: item.stride for item in episodes.read(run)}[state.sample.episode]
    known = robot.to_motor(recorded.reshape(-1, robot.width))[::stride]
    return _share(run.robot, actions[: len(known)], known[: len(actions)])


def _share(robot: Embodiment, labels: F32, truth: F32) -> float:
    """Mean error as a share of the joints' ranges."""
    limits = robot.action.motor_limits()
    return float((metrics.absolute_errors(labels, truth) / (limits[:, 1] - limits[:, 0])).mean())
