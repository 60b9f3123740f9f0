"""The driver's loop by itself, and the numbers that go into it against LeIsaac's (docs/decisions/leisaac.md 3)."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_isaac import NAMES, FakeIsaac

from leicos_jobs.backends.isaac.replayer import _task, combine
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver import leisaac_env
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.leisaac_env import LeIsaacEnv
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import HELD_STEPS, Episode, held, replay
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import ReplayRequest

LIMITS = np.radians([(-110, 110), (-100, 100), (-100, 90), (-95, 95), (-160, 160), (-10, 100)]).astype(np.float32)


def episode(name: str, targets: np.ndarray, hold: int = 30, start: np.ndarray | None = None) -> Episode:
    joints = np.zeros(6) if start is None else start
    state = {
        "articulation/robot/joint_position": [float(value) for value in joints],
        "rigid_object/cube/root_pose": [0.3, -0.6, 0.05, 1.0, 0.0, 0.0, 0.0],
    }
    return Episode(name, state, np.asarray(targets, np.float32), hold, seed=0, start_height=0.05)


class Run:
    def __init__(self, env: FakeIsaac, episodes: list[Episode], slots: int | None = None) -> None:
        self.beats: list[list[str]] = []
        self.results: list[dict[str, Any]] = []
        replay(env, episodes, LIMITS, slots or env.num_envs, self.beats.append, self.results.append)


def test_each_episode_starts_in_its_own_state_and_gets_its_own_actions_row_by_row() -> None:
    env = FakeIsaac(2)
    first, second = np.full((3, 6), 0.1), np.linspace(0, 0.5, 30).reshape(5, 6)
    Run(env, [episode("a", first, hold=2), episode("b", second, hold=2, start=np.full(6, 0.2))])
    history = np.array(env.history)
    assert np.array_equal(history[:5, 0], np.float32(first)[[0, 1, 2, 2, 2]]), "the last target is held"
    assert np.array_equal(history[:7, 1], np.float32(second)[[0, 1, 2, 3, 4, 4, 4]])
    assert np.array_equal(history[5:7, 0], np.float32(first)[[2, 2]]), (
        "an idle environment holds, it does not go to zero"
    )


def test_environments_take_over_without_disturbing_the_others() -> None:
    env = FakeIsaac(2)
    run = Run(env, [episode(f"e{number}", np.zeros((4 + 3 * number, 6)), hold=0) for number in range(4)])
    assert [result["id"] for result in run.results] == ["e0", "e1", "e2", "e3"]
    assert env.resets == [0, 1, 0, 1]
    assert ["e2", "e1"] in [sorted(beat, reverse=True) for beat in run.beats]
    assert len(env.history) == 7 + 13, "the second environment: 7 steps, then 13"


def test_fewer_episodes_than_environments_and_a_single_slot() -> None:
    env = FakeIsaac(4)
    assert len(Run(env, [episode("a", np.zeros((2, 6)))]).results) == 1
    env = FakeIsaac(4)
    Run(env, [episode("a", np.zeros((2, 6))), episode("b", np.zeros((2, 6)))], slots=1)
    assert env.resets == [0, 0], "suspects are alone"
    assert Run(FakeIsaac(1), []).results == []


def test_a_bad_episode_is_reported_and_passed_over() -> None:
    bad = episode("bad", np.zeros((2, 6)))
    del bad.start["rigid_object/cube/root_pose"]
    wide = episode("wide", np.zeros((2, 8)))
    run = Run(FakeIsaac(1), [bad, wide, episode("a", np.zeros((2, 6)))])
    assert ["error" in result for result in run.results] == [True, True, False]
    assert "(2, 8)" in run.results[1]["error"]


def test_targets_outside_the_joint_limits_are_clipped_and_counted() -> None:
    env = FakeIsaac(1)
    targets = np.zeros((4, 6))
    targets[1, 2] = np.radians(95)  # elbow: 90 is the limit
    targets[2, 5] = np.radians(-10) - 1e-7  # float noise at a limit is no violation
    (result,) = Run(env, [episode("a", targets, hold=0)]).results
    assert result["metrics"]["limit_clip_share"] == 0.25
    assert env.history[1][0, 2] == pytest.approx(np.radians(90))


def test_held_is_half_a_second_or_the_end() -> None:
    assert HELD_STEPS == 30
    assert not held([True] * 29 + [False])
    assert held([False] + [True] * 30 + [False])
    assert held([False] * 40 + [True])
    assert not held([])


def test_units_are_leisaacs_to_its_own_vectors() -> None:
    """Zero radians is pan 0, lift 0, elbow +5.263, wrist 0, roll 0, gripper 9.0909; the rest pose likewise."""
    rest = np.radians([0, -100, 90, 50, 0, -10])
    for radians, motor in (
        (np.zeros(6), [0, 0, 5.263158, 0, 0, 9.090909]),
        (rest, [0, -100, 100, 52.631579, 0, 0]),
    ):
        start = {
            "articulation/robot/joint_position": [0.0] * 6,
            "rigid_object/cube/root_pose": [0.1, 0.2, 0.35] + [0.0] * 4,
        }
        request = ReplayRequest("s", start, np.array([motor], np.float32), control_hz=60, hold=30, seed=5)
        task = _task(request, 2, SO101, "cube")
        assert task.targets[0] == pytest.approx(radians, abs=1e-6)
        assert task.targets.dtype == np.float32
        assert (task.id, task.seed, task.start_height) == ("s#2", 7, 0.35)
    assert [joint.name for joint in SO101.action.joints] == NAMES
    assert np.allclose(SO101.action.recorded_limits(), LIMITS)


def test_repeats_are_combined() -> None:
    base = {
        "success": True, "success_held": True, "max_lift": 0.3, "first_grasp_row": 10, "tracking_error_deg": 2.0,
        "gripper_error_deg": 9.0, "limit_clip_share": 0.0, "final_joint_pos": [0.0] * 6,
    }  # fmt: skip
    failed = base | {"success": False, "success_held": False, "max_lift": 0.0, "first_grasp_row": None}
    result = combine([base, failed, base | {"first_grasp_row": 20}])
    assert (result.success, result.success_rate, result.repeats) == (True, pytest.approx(2 / 3), 3)
    assert result.max_lift == pytest.approx(0.2)
    assert result.first_grasp_row == 15
    assert combine([failed, failed, base]).success is False
    assert combine([failed | {"max_lift": None}]).max_lift is None


class _Recorder:
    """What LeIsaacEnv calls of Isaac Lab, written down."""

    def __init__(self) -> None:
        self.device, self.calls = "cpu", []
        self.scene = SimpleNamespace(articulations={"robot": 1}, rigid_objects={"cube": 1})

    def reset_to(self, state: Any, env_ids: Any, seed: int, is_relative: bool) -> None:
        self.calls.append((state, env_ids, seed, is_relative))


def test_the_app_is_launched_headless_with_cameras_and_sees_nothing_of_our_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    class AppLauncher:
        def __init__(self, options: dict[str, Any]) -> None:
            seen.append((options, list(sys.argv)))
            self.app = "app"

    for name in ("isaaclab", "isaaclab.app"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(AppLauncher=AppLauncher))
    monkeypatch.setattr(leisaac_env, "LeIsaacEnv", lambda config, app: (config["task"], app))
    monkeypatch.setattr(leisaac_env, "multiprocessing", SimpleNamespace(get_start_method=lambda allow_none: "spawn"))
    monkeypatch.setattr(sys, "argv", ["driver", "/scratch/home", "--owner", "17"])
    assert leisaac_env.make({"task": "LeIsaac-SO101-LiftCube-v0", "device": "cuda:0"}) == (
        "LeIsaac-SO101-LiftCube-v0", "app",
    )  # fmt: skip
    assert seen == [({"headless": True, "enable_cameras": True, "device": "cuda:0"}, ["driver"])]


def test_a_recorded_state_reaches_isaac_lab_as_its_scene_wants_it() -> None:
    """(1, n) float32 tensors by group, entity and part; relative to the environment; nothing else."""

    def tensor(values: Any, dtype: Any = None, device: str = "") -> np.ndarray:
        assert device == "cpu"
        return np.array(values, dtype=dtype)

    torch = SimpleNamespace(tensor=tensor, float32=np.float32)
    recorder = _Recorder()
    env = LeIsaacEnv.__new__(LeIsaacEnv)
    env._torch, env._env = torch, recorder
    start = {
        "articulation/robot/root_pose": [0.35, -0.64, 0.01, 0.0, 0.0, 0.0, 1.0],
        "articulation/robot/root_velocity": [0.0] * 6,
        "articulation/robot/joint_position": [0.1] * 6,
        "articulation/robot/joint_velocity": [0.0] * 6,
        "rigid_object/cube/root_pose": [0.3, -0.9, 0.05, 1.0, 0.0, 0.0, 0.0],
        "rigid_object/cube/root_velocity": [0.0] * 6,
        "conditioning/actions": [0.0] * 24,
    }
    env.reset_to(2, start, seed=9)
    ((state, env_ids, seed, is_relative),) = recorder.calls
    assert set(state) == {"articulation", "rigid_object"}
    assert set(state["articulation"]["robot"]) == {"root_pose", "root_velocity", "joint_position", "joint_velocity"}
    assert state["rigid_object"]["cube"]["root_pose"].shape == (1, 7)
    assert state["articulation"]["robot"]["joint_position"].dtype == torch.float32
    assert (env_ids.tolist(), seed, is_relative) == ([2], 9, True)
    recorder.scene.rigid_objects["Orange001"] = 1
    with pytest.raises(ValueError, match="rigid_object/Orange001"):
        env.reset_to(0, start, seed=0)
