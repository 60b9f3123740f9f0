from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mujoco_demo import demo, replay_request

from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.loop import held
from leicos_jobs.backends.mujoco import rollout
from leicos_jobs.backends.mujoco.replayer import MujocoReplayer
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.mujoco.simulation import Simulation
from leicos_jobs.backends.requests import ReplayRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.tasks.task import DEFAULT, task_named


def replay(*requests: ReplayRequest, **settings: float) -> list[dict[str, object]]:
    replayer = MujocoReplayer(MujocoReplayer.Settings(**settings), Path())
    seen: list[str] = []
    results = list(replayer.process(requests, seen.append))
    assert seen == [result.sample for result in results] == [request.sample for request in requests]
    return [result.metrics.facts() for result in results]


def test_a_demos_own_actions_give_its_own_joint_angles_to_the_bit() -> None:
    for number in range(3):
        done, _ = demo(number)
        request = replay_request(done)
        without_hold = ReplayRequest("same", request.start, request.actions, 60.0, 0)
        metrics = replay(without_hold)[0]
        assert np.float32(metrics["final_joint_pos"]).tolist() == done.joint_pos[-1].tolist()
        assert metrics["success"] == done.success
        assert metrics["max_lift"] == pytest.approx(
            done.qpos[1:, 8].max() - task_named(DEFAULT).scene.object.half, abs=1e-12
        )


def test_success_failure_and_what_is_measured() -> None:
    good, bad = demo(0)[0], demo(0, "low")[0]
    assert good.success
    first, second, again = replay(replay_request(good), replay_request(bad, name="b"), replay_request(good, name="c"))
    assert first == again  # nothing of one replay reaches the next
    assert first["success"]
    assert first["success_held"]
    assert first["success_rate"] == 1.0
    assert not second["success"]
    assert 0.03 < float(str(second["max_lift"])) < 0.15
    assert 0.2 < float(str(first["tracking_error_deg"])) < 4.0
    grasped = int(str(first["first_grasp_row"]))
    assert 60 < grasped < int(np.argmax(good.qpos[:, 8] > 0.03))
    assert first["limit_clip_share"] == 0.0


def test_from_the_middle_of_a_demo_the_outcome_is_the_same() -> None:
    done, _ = demo(1)
    assert replay(replay_request(done, row0=6))[0]["success"] == done.success


def test_at_the_cameras_rate_interpolated_with_the_gripper_held_it_still_succeeds() -> None:
    hits = 0
    for number in range(4):
        done, _ = demo(number)
        request = replay_request(done, row0=6)
        frames = request.actions[::2]
        rows = np.arange(2 * len(frames) - 1) / 2
        full = np.stack([np.interp(rows, np.arange(len(frames)), frames[:, joint]) for joint in range(6)], axis=1)
        full[:, 5] = frames[np.floor(rows).astype(int), 5]
        hits += bool(replay(ReplayRequest("r", request.start, full.astype(np.float32), 60.0, 30))[0]["success"])
    assert hits >= 3


def test_the_wrong_actions_do_not_lift() -> None:
    done, _ = demo(0)
    request = replay_request(done)
    rng = np.random.default_rng(0)
    shuffled = ReplayRequest("s", request.start, rng.permutation(request.actions), 60.0, 30)
    still = ReplayRequest("t", request.start, request.actions[:1].repeat(200, axis=0), 60.0, 30)
    assert not any(metrics["success"] for metrics in replay(shuffled, still))


def test_targets_beyond_the_limits_are_counted_and_not_applied() -> None:
    done, _ = demo(0)
    request = replay_request(done)
    actions = request.actions.copy()
    actions[:50, 0] = 150.0
    metrics = replay(ReplayRequest("x", request.start, actions, 60.0, 30))[0]
    assert metrics["limit_clip_share"] == pytest.approx(50 / len(actions))


def test_the_last_target_isheld() -> None:
    done, _ = demo(0)
    start = {key: value.tolist() for key, value in rollout.row(done.states, 0).items()}
    target = SO101.action.to_motor(done.joint_pos[0] + np.float32([0.3, 0, 0, 0, 0, 0]))[None]
    short, long = (replay(ReplayRequest("h", start, target, 60.0, hold))[0] for hold in (0, 60))
    reached = [np.array(metrics["final_joint_pos"])[0] - done.joint_pos[0, 0] for metrics in (short, long)]
    assert reached[0] < 0.15
    assert reached[1] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("control_hz", [30.0, 120.0])
def test_other_control_rates_take_the_same_time(control_hz: float) -> None:
    simulation = Simulation(control_hz)
    done, _ = demo(0)
    start = {key: value.tolist() for key, value in rollout.row(done.states, 0).items()}
    actions = SO101.action.to_motor(done.joint_pos[0])[None].repeat(int(control_hz), axis=0)
    metrics = replay(ReplayRequest("h", start, actions, control_hz, 0))[0]
    assert simulation.model.opt.timestep == pytest.approx(1 / 480)
    assert not metrics["success"]


def test_held_means_half_a_second_or_to_the_end() -> None:
    up, down = [True], [False]
    assert held(np.array(up * 30 + down))
    assert held(np.array(down * 40 + up * 5))
    assert not held(np.array(up * 29 + down))
    assert not held(np.array(down * 3))


@pytest.mark.parametrize("actions", [np.zeros((5, 7)), np.zeros((0, 6)), np.full((4, 6), np.nan), np.zeros(6)])
def test_actions_that_are_none_are_refused(actions: np.ndarray) -> None:
    start = {key: value.tolist() for key, value in rollout.row(demo(0)[0].states, 0).items()}
    with pytest.raises(InputError, match="sample odd, replay: actions of shape"):
        replay(ReplayRequest("odd", start, actions.astype(np.float32), 60.0, 30))


def test_the_backends_can_be_looked_at_without_mujoco() -> None:
    code = (
        "import sys; from leicos_jobs.backends.mujoco.replayer import MujocoReplayer as R;"
        "from leicos_jobs.backends.mujoco.generator import MujocoGenerator as G; R.Settings(); G.Settings();"
        "print(R.version, G.version, 'mujoco' in sys.modules, 'torch' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.split() == ["1", "1", "False", "False"]


def test_where_mujoco_is_missing_the_message_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['mujoco'] = None;"
        "from leicos_jobs.core.errors import InputError;"
        "from leicos_jobs.backends.mujoco.replayer import MujocoReplayer as R\n"
        "try: R(R.Settings(), None)\n"
        "except InputError as error: print(error)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'leicos[mujoco]'" in output.stdout
