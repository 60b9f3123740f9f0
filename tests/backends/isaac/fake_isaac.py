"""A stand-in for LeIsaac's environment with its recorded facts: shapes, order of joints, 60 Hz, success strictly above
0.20 m over the base, the gripper's effort limit. It runs in the driver's process in the place of `leisaac_env:make`.

Joints follow their targets by half the way each step. The cube rises with the arm while the gripper is shut: height =
0.05 + 0.3 * max(0, shoulder_lift). Faults are asked for through the start state (`fault/<name>`): hang, crash (exit
code 0, as Isaac's), segfault, bad_state; and by environment variables at the start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
BASE_HEIGHT, SUCCESS_HEIGHT = 0.01, 0.20


def make(config: dict[str, Any]) -> FakeIsaac:
    print("[INFO] Fake Isaac Sim", config["task"], flush=True)
    if os.environ.get("FAKE_START") == "hang":
        time.sleep(3600)
    if os.environ.get("FAKE_START") == "exit":
        os._exit(0)
    if starts := os.environ.get("FAKE_STARTS"):  # only the first one succeeds
        if Path(starts).exists():
            os._exit(0)
        Path(starts).touch()
    if os.environ.get("FAKE_START") == "raise":
        raise RuntimeError("vkCreateInstance failed: ERROR_INCOMPATIBLE_DRIVER")
    if os.environ.get("FAKE_START") == "refuse":
        from leicos_replay_driver.loop import TaskRefusedError  # a name of the driver's process only

        raise TaskRefusedError(f"task {config['task']} has no success term")
    return FakeIsaac(config["envs"])


class FakeIsaac:
    def __init__(self, num_envs: int) -> None:
        self.num_envs, self.width = num_envs, 6
        self.joints = np.zeros((num_envs, 6), dtype=np.float32)
        self.fault = [""] * num_envs
        self.countdown = np.full(num_envs, 10)
        self.resets: list[int] = []
        self.history: list[np.ndarray] = []

    def facts(self) -> dict[str, Any]:
        return {
            "num_envs": self.num_envs,
            "width": self.width,
            "control_hz": float(os.environ.get("FAKE_HZ", "60")),
            "joint_names": NAMES if not os.environ.get("FAKE_ORDER") else NAMES[::-1],
            "leisaac": "",
        }

    def working(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def reset_to(self, env: int, start: dict[str, list[float]], seed: int) -> None:
        missing = {"articulation/robot/joint_position", "rigid_object/cube/root_pose"} - set(start)
        if missing:
            raise ValueError(f"the demo's state lacks what this task's scene has: {sorted(missing)}")
        self.joints[env] = start["articulation/robot/joint_position"]
        faults = [path.partition("/")[2] for path in start if path.startswith("fault/")]
        self.fault[env] = faults[0] if faults else ""
        self.countdown[env] = 10
        self.resets.append(env)

    def step(self, targets: np.ndarray) -> None:
        assert targets.shape == (self.num_envs, 6)
        assert targets.dtype == np.float32
        self.history.append(targets.copy())
        self.joints += (targets - self.joints) / 2
        if os.environ.get("FAKE_STEP_DIES"):
            os._exit(0)
        self.countdown -= 1
        for env in range(self.num_envs):
            if self.countdown[env] == 0 and self.fault[env]:
                self._go_wrong(self.fault[env])
        time.sleep(float(os.environ.get("FAKE_STEP", "0")))

    def _go_wrong(self, fault: str) -> None:
        if fault == "hang":
            time.sleep(3600)
        if fault == "crash":
            sys.stdout.flush()
            os._exit(0)  # fast shutdown: success, it says
        if fault == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        raise RuntimeError("PhysX error: the scene is gone")

    def success(self) -> np.ndarray:
        return self.height() - BASE_HEIGHT > SUCCESS_HEIGHT

    def joint_pos(self) -> np.ndarray:
        return self.joints.copy()

    def height(self) -> np.ndarray:
        return 0.05 + 0.3 * np.maximum(self.joints[:, 1], 0) * self.grasped()

    def grasped(self) -> np.ndarray:
        return self.joints[:, 5] < 0.26
