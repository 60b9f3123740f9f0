"""Replay from another demo's state, from row 0, or in degrees: real physics, and the check that turns red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")

from leicos_jobs.backends.mujoco.replayer import MujocoReplayer, MujocoReplayerSettings
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.judge import checks
from leicos_jobs.stages.record import record

DEMOS, ROW = 6, 120


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    path = tmp_path_factory.mktemp("record") / "demos.hdf5"
    record(path, DEMOS, 3, 64, 48, failed_share=0.0, workers=1)
    found = []
    with Recording(path) as recording:
        for demo in recording.demos():
            starts = {row: demo.state_at(row) for row in (0, ROW)}
            found.append({"actions": SO101.action.to_motor(demo.actions), "starts": starts, "joints": demo.joint_pos})
    return found


def outcomes(demos, start_of, actions_of) -> list[ReplayMetrics]:
    replayer = MujocoReplayer(MujocoReplayerSettings(), Path())
    requests = [
        ReplayRequest(str(index), start_of(index), actions_of(demo), 60.0, 30) for index, demo in enumerate(demos)
    ]
    return [result.metrics for result in replayer.process(requests, lambda _sample: None)]


def verdict(found: list[ReplayMetrics]) -> bool:
    group = {str(index): metrics for index, metrics in enumerate(found)}
    return checks.reproduction({"demo": group, "demo_resampled": group})[0].passed


def test_demos_reproduce_from_their_own_state(demos) -> None:
    assert verdict(outcomes(demos, lambda i: demos[i]["starts"][0], lambda d: d["actions"]))
    assert verdict(outcomes(demos, lambda i: demos[i]["starts"][ROW], lambda d: d["actions"][ROW:]))


def test_another_demos_state_turns_reproduction_red(demos) -> None:
    assert not verdict(outcomes(demos, lambda i: demos[(i + 1) % DEMOS]["starts"][0], lambda d: d["actions"]))


def test_row_0_instead_of_row0_turns_the_start_check_red(demos) -> None:
    """The outcome may survive a wrong row, the start check does not."""
    seen = demos[0]["joints"][ROW]
    right = np.float32(demos[0]["starts"][ROW]["articulation/robot/joint_position"])
    wrong = np.float32(demos[0]["starts"][0]["articulation/robot/joint_position"])
    frames = np.zeros((5, 48, 64, 3), np.uint8)
    assert checks.conditioning([(frames, frames)], [(right, seen)])[1].passed
    assert not checks.conditioning([(frames, frames)], [(wrong, seen)])[1].passed


def test_degrees_for_motor_units_turn_reproduction_red(demos) -> None:
    wrong = lambda d: np.rad2deg(SO101.action.to_recorded(d["actions"])).astype(np.float32)  # noqa: E731
    assert not verdict(outcomes(demos, lambda i: demos[i]["starts"][0], wrong))
