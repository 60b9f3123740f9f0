"""LeIsaac's task behind the loop's interface. Checked against LeIsaac 24d3bcd and Isaac Lab 2.3.0, line by line; runs
in Isaac's Python only.

Isaac's rules: nothing of Isaac may be imported before the app is launched, and the app is launched once per process. As
LeIsaac's replay.py does, recorders and terminations are emptied, or the environment would reset itself at success and
at 25 s; the success term is taken out before that and asked after each step, before anything is reset.
"""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing
import sys
from typing import Any

import numpy as np

from .loop import TaskRefusedError

GROUPS = ("articulation", "rigid_object", "deformable_object")
"""Parts of a recorded state that the scene's reset_to reads; others, such as leicos' own, are not its business."""
GRASP_DISTANCE, GRASP_OPENING = 0.02, 0.26
"""LeIsaac's object_grasped: object to jaw frame in m, gripper joint in rad."""


def make(config: dict[str, Any]) -> LeIsaacEnv:
    """Launch Isaac Sim headless and build the task."""
    if multiprocessing.get_start_method(allow_none=True) != "spawn":
        multiprocessing.set_start_method("spawn", force=True)
    del sys.argv[1:]  # Kit reads the command line too, and ours is not meant for it
    from isaaclab.app import AppLauncher  # type: ignore[import-not-found]

    launcher = AppLauncher({"headless": True, "enable_cameras": True, "device": config["device"]})
    return LeIsaacEnv(config, launcher.app)


class LeIsaacEnv:
    """The vectorised environment."""

    def __init__(self, config: dict[str, Any], app: Any) -> None:
        import gymnasium
        import leisaac  # type: ignore[import-not-found]  # registers the tasks
        import torch
        from isaaclab_tasks.utils import parse_env_cfg  # type: ignore[import-not-found]
        from leisaac.utils.env_utils import get_task_type  # type: ignore[import-not-found]

        self._torch, self._app, self._leisaac = torch, app, leisaac
        task = config["task"]
        self._type = get_task_type(task)
        try:
            cfg = parse_env_cfg(task, device=config["device"], num_envs=config["envs"])
        except gymnasium.error.UnregisteredEnv as error:
            raise TaskRefusedError(f"LeIsaac has no task {task}: {error}") from error
        cfg.use_teleop_device(self._type)
        cfg.recorders = {}
        self._direct = "Direct" in task
        term = None
        if self._direct:
            cfg.never_time_out, cfg.manual_terminate = True, True
        else:
            term = getattr(cfg.terminations, "success", None)
            if term is None:
                raise TaskRefusedError(f"task {task} has no success term: nothing says whether a replay succeeded")
            cfg.terminations = {}
        self._env = gymnasium.make(task, cfg=cfg).unwrapped
        if hasattr(self._env, "initialize"):
            self._env.initialize()
        self._env.reset()
        self._success = None if self._direct else self._resolve(term)
        self.num_envs = int(self._env.num_envs)
        self.width = int(self._env.action_space.shape[-1])
        self._robot = self._env.scene["robot"]
        self._object = self._env.scene.rigid_objects.get(config["lift_object"])
        self._jaw = self._env.scene.sensors.get("ee_frame")
        # Isaac's handler of a stopped timeline can spin for ever (docs/decisions/leisaac.md 6.1).
        with contextlib.suppress(AttributeError):
            self._env.sim._disable_app_control_on_stop_handle = True

    def _resolve(self, term: Any) -> Any:
        """The success function with its parameters bound, as a termination manager would bind them."""
        from isaaclab.managers import SceneEntityCfg  # type: ignore[import-not-found]

        params = dict(term.params or {})
        for value in params.values():
            for item in value if isinstance(value, list | tuple) else [value]:  # PickOrange: a list of entities
                if isinstance(item, SceneEntityCfg):
                    item.resolve(self._env.scene)
        function: Any = term.func
        if inspect.isclass(function):
            function = function(cfg=term, env=self._env)  # type: ignore[call-arg]
        return lambda: function(self._env, **params)

    def facts(self) -> dict[str, Any]:
        """What the parent checks before it sends anything."""
        return {
            "num_envs": self.num_envs,
            "width": self.width,
            "control_hz": 1.0 / float(self._env.step_dt),
            "joint_names": list(self._robot.data.joint_names),
            "leisaac": getattr(self._leisaac, "__file__", ""),
        }

    def working(self) -> Any:
        """No gradients while replaying."""
        return self._torch.inference_mode()

    def reset_to(self, env: int, start: dict[str, list[float]], seed: int) -> None:
        """See `Env`. Positions are relative to the environment's origin, as recorded."""
        torch, device = self._torch, self._env.device
        state: dict[str, Any] = {}
        for path, values in start.items():
            group, _, rest = path.partition("/")
            if group not in GROUPS:
                continue
            name, _, part = rest.rpartition("/")
            tensor = torch.tensor([values], dtype=torch.float32, device=device)
            state.setdefault(group, {}).setdefault(name, {})[part] = tensor
        scene = self._env.scene
        wanted = {"articulation": scene.articulations, "rigid_object": scene.rigid_objects}
        missing = [
            f"{group}/{name}" for group, items in wanted.items() for name in items if name not in state.get(group, {})
        ]
        if missing:
            raise ValueError(f"the demo's state lacks what this task's scene has: {', '.join(missing)}")
        self._env.reset_to(state, torch.tensor([env], device=device), seed=seed, is_relative=True)

    def step(self, targets: np.ndarray) -> None:
        """See `Env`. LeIsaac limits the gripper's effort by the nearest object's mass before each step."""
        if getattr(self._env.cfg, "dynamic_reset_gripper_effort_limit", False):
            self._limit_gripper()
        self._env.step(self._torch.from_numpy(np.ascontiguousarray(targets)).to(self._env.device))

    def _limit_gripper(self) -> None:
        """LeIsaac's dynamic_reset_gripper_effort_limit_sim; its own call where there is one environment.

        With several it gives write_joint_effort_limit_to_sim one column an environment for the one joint, so that they
        overwrite each other; here the limits go in as (num_envs, 1).
        """
        from leisaac.utils.env_utils import dynamic_reset_gripper_effort_limit_sim

        objects = self._env.scene.rigid_objects
        if self.num_envs == 1 or self._type != "so101leader" or not objects:
            dynamic_reset_gripper_effort_limit_sim(self._env, self._type)
            return
        torch, data = self._torch, self._robot.data
        jaw = data.body_link_pos_w[:, -1]
        places = torch.stack([item.data.body_link_pos_w[:, 0] for item in objects.values()])
        nearest = torch.linalg.vector_norm(places - jaw[None], dim=2).argmin(dim=0)
        masses = torch.stack([item.data.default_mass[:, 0].to(jaw.device) for item in objects.values()])
        wanted = masses[nearest, torch.arange(self.num_envs, device=jaw.device)] / 0.15
        now = data.joint_effort_limits[:, -1]
        wanted = torch.where((wanted - now).abs() > 0.1, wanted, now)
        if not torch.equal(wanted, now):
            self._robot.write_joint_effort_limit_to_sim(limits=wanted[:, None], joint_ids=[self.width - 1])

    def success(self) -> np.ndarray:
        """See `Env`."""
        return self._numpy(self._env._check_success() if self._success is None else self._success())

    def joint_pos(self) -> np.ndarray:
        """See `Env`."""
        return self._numpy(self._robot.data.joint_pos)

    def height(self) -> np.ndarray | None:
        """See `Env`."""
        if self._object is None:
            return None
        return self._numpy(self._object.data.root_pos_w[:, 2] - self._env.scene.env_origins[:, 2])

    def grasped(self) -> np.ndarray | None:
        """See `Env`."""
        if self._object is None or self._jaw is None:
            return None
        apart = self._object.data.root_pos_w - self._jaw.data.target_pos_w[:, 1, :]
        near = self._torch.linalg.vector_norm(apart, dim=1) < GRASP_DISTANCE
        return self._numpy(near & (self._robot.data.joint_pos[:, -1] < GRASP_OPENING))

    @staticmethod
    def _numpy(tensor: Any) -> np.ndarray:
        return np.array(tensor.detach().cpu().numpy())
