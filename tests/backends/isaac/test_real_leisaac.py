"""leisaac_env.py against functions of the real LeIsaac and Isaac Lab, run on the CPU with plain tensors.

Neither can be imported without Isaac Sim, so single functions are compiled out of their files, unchanged. Needs
checkouts of LeIsaac 24d3bcd in $LEICOS_LEISAAC and of Isaac Lab 2.3.0 in $LEICOS_ISAACLAB (the unpacked wheel
isaaclab==2.3.0 of PyPI will do), and torch. Without them all of this is skipped, with a warning.
"""

from __future__ import annotations

import ast
import re
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.upstream import ISAACLAB, LEISAAC, compiled, needs_upstream, read

from leicos_jobs.backends.isaac.standalone.leicos_replay_driver import leisaac_env
from leicos_jobs.backends.isaac.standalone.leicos_replay_driver.leisaac_env import LeIsaacEnv
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101

pytestmark = needs_upstream
ENVS = 3


class Articulation:
    """A robot of six joints and two bodies whose writing methods are Isaac Lab's own or write down what they get."""

    def __init__(self, torch: Any) -> None:
        self.device, self._ALL_INDICES, self.written = "cpu", torch.arange(ENVS), []
        self._data = SimpleNamespace(
            joint_effort_limits=torch.full((ENVS, 6), 10.0),
            joint_pos=torch.rand(ENVS, 6),
            joint_names=[joint.name for joint in SO101.action.joints],
            body_names=["base", "jaw"],
            body_pos_w=torch.zeros(ENVS, 2, 3),
            body_link_pos_w=torch.rand(ENVS, 2, 3),
        )
        self.data = self._data
        self.root_physx_view = SimpleNamespace(set_dof_max_forces=lambda limits, indices: None)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("write_root", "write_joint_state", "set_joint")):
            raise AttributeError(name)
        return lambda *values, env_ids: self.written.append((name, [value.numpy() for value in values], env_ids))


class Body:
    def __init__(self, torch: Any, mass: list[float]) -> None:
        place = torch.rand(ENVS, 3)
        self.data = SimpleNamespace(
            root_pos_w=place, body_link_pos_w=place[:, None], default_mass=torch.tensor(mass)[:, None]
        )
        self.written: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("write_root"):
            raise AttributeError(name)
        return lambda *values, env_ids: self.written.append((name, [value.numpy() for value in values], env_ids))


class Scene:
    """An InteractiveScene's parts; `reset_to` is Isaac Lab's."""

    def __init__(self, torch: Any) -> None:
        self.articulations = self._articulations = {"robot": Articulation(torch)}
        self.rigid_objects = self._rigid_objects = {
            "cube": Body(torch, [0.01] * ENVS),
            "plate": Body(torch, [0.3, 0.6, 0.9]),
        }
        self._deformable_objects: dict[str, Any] = {}
        self._surface_grippers: dict[str, Any] = {}
        self.env_origins = torch.tensor([[8.0 * n, -8.0 * n, 0.5 * n] for n in range(ENVS)])
        self.sensors = {"ee_frame": SimpleNamespace(data=SimpleNamespace(target_pos_w=torch.rand(ENVS, 2, 3)))}

    def __getitem__(self, name: str) -> Any:
        return (self.articulations | self.rigid_objects | self.sensors)[name]

    def write_data_to_sim(self) -> None: ...


@pytest.fixture
def torch() -> Any:
    module = pytest.importorskip("torch")
    module.manual_seed(0)
    return module


@pytest.fixture
def made(torch: Any, monkeypatch: pytest.MonkeyPatch) -> LeIsaacEnv:
    """A LeIsaacEnv over the scene above."""
    utils = types.ModuleType("leisaac.utils.env_utils")
    exec(read(LEISAAC, "leisaac/utils/env_utils.py"), utils.__dict__)
    for name, module in {"leisaac": types.ModuleType("leisaac"), "leisaac.utils": types.ModuleType("leisaac.utils"),
                         "leisaac.utils.env_utils": utils}.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    limit = compiled(ISAACLAB, "assets/articulation/articulation.py", "write_joint_effort_limit_to_sim", torch)
    monkeypatch.setattr(Articulation, "write_joint_effort_limit_to_sim", limit, raising=False)
    scene = Scene(torch)
    env = LeIsaacEnv.__new__(LeIsaacEnv)
    env._torch, env._type, env.num_envs, env.width = torch, "so101leader", ENVS, 6
    env._env = SimpleNamespace(scene=scene, device="cpu", num_envs=ENVS)
    env._robot, env._object, env._jaw = scene["robot"], scene["cube"], scene["ee_frame"]
    return env


def test_a_state_reaches_the_scene_by_isaac_labs_own_reset_and_one_environment_only(
    made: LeIsaacEnv, torch: Any
) -> None:
    scene = made._env.scene
    reset = compiled(ISAACLAB, "isaaclab/scene/interactive_scene.py", "reset_to", torch)
    made._env.reset_to = lambda state, env_ids, seed, is_relative: reset(scene, state, env_ids, is_relative)
    joints = [0.1, -0.2, 0.3, -0.4, 0.5, 0.6]
    start = {
        "articulation/robot/root_pose": [0.35, -0.64, 0.01, 0.0, 0.0, 0.0, 1.0],
        "articulation/robot/root_velocity": [0.0] * 6,
        "articulation/robot/joint_position": joints,
        "articulation/robot/joint_velocity": [0.0] * 6,
        "conditioning/actions": [0.0] * 24,
    }
    for name, x in (("cube", 0.3), ("plate", 0.4)):
        start[f"rigid_object/{name}/root_pose"] = [x, -0.9, 0.05, 1.0, 0.0, 0.0, 0.0]
        start[f"rigid_object/{name}/root_velocity"] = [0.0] * 6
    made.reset_to(2, start, seed=1)
    robot = {name: (values, env_ids) for name, values, env_ids in scene["robot"].written}
    assert np.allclose(robot["write_root_pose_to_sim"][0][0][0, :3], [16.35, -16.64, 1.01]), "relative to its origin"
    for name in ("write_joint_state_to_sim", "set_joint_position_target"):
        assert np.allclose(robot[name][0][0], [joints])
    for item in (scene["robot"], scene["cube"], scene["plate"]):
        assert all(env_ids.tolist() == [2] for _, _, env_ids in item.written)
    ((_, (pose,), _), _) = scene["plate"].written
    assert np.allclose(pose[0], [16.4, -16.9, 1.05, 1, 0, 0, 0])


def test_the_grippers_limit_is_leisaacs_in_every_environment(made: LeIsaacEnv, torch: Any) -> None:
    """Theirs, asked about one environment at a time, against ours for all at once; theirs for all at once is wrong."""
    from leisaac.utils.env_utils import dynamic_reset_gripper_effort_limit_sim

    scene = made._env.scene
    jaw = scene["robot"].data.body_link_pos_w[:, -1]
    near = [("cube", "plate", "plate")[env] for env in range(ENVS)]
    for name in ("cube", "plate"):
        for env in range(ENVS):
            place = jaw[env] + (0.01 if near[env] == name else 0.5)
            scene[name].data.body_link_pos_w[env, 0] = place
    wanted = [0.01 / 0.15, 0.6 / 0.15, 0.9 / 0.15]
    made._limit_gripper()
    limits = scene["robot"].data.joint_effort_limits
    assert limits[:, -1].tolist() == pytest.approx(wanted)
    assert (limits[:, :-1] == 10).all(), "the arm keeps its own"
    for env in range(ENVS):
        single = types.SimpleNamespace(scene=_slice(scene, env, torch))
        dynamic_reset_gripper_effort_limit_sim(single, "so101leader")
        robot = single.scene["robot"]
        assert robot.data.joint_effort_limits[0, -1].item() == pytest.approx(wanted[env])
    limits.fill_(10.0)
    dynamic_reset_gripper_effort_limit_sim(made._env, "so101leader")
    assert limits[:, -1].tolist() != pytest.approx(wanted), "why there is a version of our own"


def _slice(scene: Scene, env: int, torch: Any) -> Scene:
    """The scene of one environment alone."""
    alone = Scene(torch)
    for item, source in ((alone[name], scene[name]) for name in ("robot", "cube", "plate")):
        for name, value in vars(source.data).items():
            setattr(item.data, name, value[env : env + 1].clone() if torch.is_tensor(value) else value)
    alone["robot"]._ALL_INDICES = torch.arange(1)
    alone["robot"].data.joint_effort_limits.fill_(10.0)
    return alone


def test_success_is_the_tasks_own_term(made: LeIsaacEnv, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly above 0.20 m over the base; parameters and threshold from the task's configuration."""
    text = read(LEISAAC, "tasks/lift_cube/lift_cube_env_cfg.py")
    threshold = float(re.findall(r'"height_threshold": ([\d.]+)', text)[0])
    assert threshold == 0.20
    managers = types.ModuleType("isaaclab.managers")
    managers.SceneEntityCfg = type("SceneEntityCfg", (SimpleNamespace,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "isaaclab", types.ModuleType("isaaclab"))
    monkeypatch.setitem(sys.modules, "isaaclab.managers", managers)
    resolved: list[str] = []

    def entity(name: str) -> Any:
        return managers.SceneEntityCfg(name=name, resolve=lambda scene: resolved.append(name))

    term = SimpleNamespace(
        func=compiled(LEISAAC, "lift_cube/mdp/terminations.py", "cube_height_above_base", torch),
        params={"cube_cfg": entity("cube"), "robot_cfg": entity("robot"), "robot_base_name": "base",
                "height_threshold": threshold},
    )  # fmt: skip
    scene = made._env.scene
    scene["robot"].data.body_pos_w[:, 0, 2] = torch.tensor([0.0, 0.5, 1.0])
    scene["cube"].data.root_pos_w[:, 2] = torch.tensor([0.19, 0.75, 1.21])
    made._success = made._resolve(term)
    assert resolved == ["cube", "robot"]
    assert made.success().tolist() == [False, True, True]
    scene["cube"].data.root_pos_w[0, 2] = 0.20
    assert not made.success()[0], "strictly"
    assert made.height().tolist() == pytest.approx([0.20, 0.25, 0.21])


def test_a_grasp_is_leisaacs(made: LeIsaacEnv, torch: Any) -> None:
    theirs = compiled(LEISAAC, "lift_cube/mdp/observations.py", "object_grasped", torch)
    scene = made._env.scene
    names = [SimpleNamespace(name=name) for name in ("robot", "ee_frame", "cube")]
    seen = set()
    for _ in range(200):
        scene["robot"].data.joint_pos[:, -1] = torch.rand(ENVS) * 0.5
        place = scene["ee_frame"].data.target_pos_w[:, 1]
        scene["cube"].data.root_pos_w[:] = place + (torch.rand(ENVS, 3) - 0.5) * 0.04
        wanted = theirs(made._env, *names, diff_threshold=0.02, grasp_threshold=0.26).tolist()
        assert made.grasped().tolist() == wanted
        seen.update(wanted)
    assert seen == {True, False}


def test_what_is_asked_of_both_is_there() -> None:
    """Names that leisaac_env.py uses without a way to notice their absence here."""
    replay = read(LEISAAC, "teleoperation/replay.py")
    for line in (
        "env_cfg.never_time_out = True", "env_cfg.manual_terminate = True", "env_cfg.recorders = {}",
        "env_cfg.terminations = {}", "env_cfg.use_teleop_device(task_type)", "env.initialize()",
        "env.cfg.dynamic_reset_gripper_effort_limit", "get_task_type(args_cli.task",
        "parse_env_cfg(args_cli.task, device=args_cli.device, num_envs=num_envs)", "is_relative=True",
    ):  # fmt: skip
        assert line in replay, line
    assert "self._disable_app_control_on_stop_handle" in read(ISAACLAB, "isaaclab/sim/simulation_context.py")
    launcher = read(ISAACLAB, "isaaclab/app/app_launcher.py")
    assert "launcher_args: argparse.Namespace | dict | None" in launcher
    assert "in sys.argv" in launcher, "the app reads the command line: ours must not be on it"
    scene = read(ISAACLAB, "isaaclab/scene/interactive_scene.py")
    for name in ("articulations", "rigid_objects", "sensors", "env_origins"):
        assert f"def {name}(self)" in scene
    assert "def step_dt(self)" in read(ISAACLAB, "isaaclab/envs/manager_based_env.py")
    ids = set(re.findall(r'id="(LeIsaac-[^"]+)"', "".join(
        path.read_text() for path in Path(LEISAAC).rglob("tasks/*/__init__.py"))))  # fmt: skip
    assert {"LeIsaac-SO101-LiftCube-v0", "LeIsaac-SO101-PickOrange-v0"} <= ids
    assert leisaac_env.GRASP_OPENING == 0.26


def test_units_and_limits_are_leisaacs() -> None:
    """Its two tables and its conversion, against our embodiment."""
    robot = read(LEISAAC, "assets/robots/lerobot.py")
    space: dict[str, Any] = {}
    for node in ast.parse(robot).body:
        if isinstance(node, ast.Assign) and "LIM" in ast.unparse(node.targets[0]) and "SO101" in ast.unparse(node):
            exec(compile(ast.Module([node], []), "lerobot.py", "exec"), space)
    usd, motor = space["SO101_FOLLOWER_USD_JOINT_LIMLITS"], space["SO101_FOLLOWER_MOTOR_LIMITS"]
    assert {joint.name: tuple(joint.limits) for joint in SO101.action.joints} == {k: tuple(v) for k, v in usd.items()}
    torch = SimpleNamespace(pi=np.pi, Tensor=())
    convert = compiled(LEISAAC, "utils/robot_utils.py", "convert_leisaac_action_to_lerobot", torch)
    convert.__globals__.update(np=np, SO101_FOLLOWER_USD_JOINT_LIMLITS=usd, SO101_FOLLOWER_MOTOR_LIMITS=motor)
    values = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 6)).astype(np.float32)
    assert np.allclose(convert(values), SO101.action.to_motor(values), atol=1e-4)
