"""Pictures from the front camera of LeIsaac's LiftCube, on the CPU, fast enough to record and generate by the thousand.

No shadows, reflections or multi-sampling, light meshes (see `meshes`), one raster thread a process.
"""

from __future__ import annotations

import atexit
import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses, scene, workspace
from leicos_jobs.backends.mujoco.engine import mujoco
from leicos_jobs.backends.mujoco.looks import Look
from leicos_jobs.tasks.task import Scene

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


class Renderer:
    """A GL context and a private copy of the model. Call `close` at the end."""

    def __init__(self, width: int, height: int, shown: Scene | None = None) -> None:
        """shown: what is on the table; None for the default task's."""
        self._nominal: Any = scene.model(scene=shown)
        self._model: Any = copy.copy(self._nominal)
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._data: Any = mujoco.MjData(self._model)
        self._renderer: Any = mujoco.Renderer(self._model, height, width)
        for flag in ("SHADOW", "REFLECTION", "SKYBOX", "FOG", "HAZE"):
            self._renderer.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        self._option: Any = mujoco.MjvOption()
        for group in range(len(self._option.geomgroup)):
            self._option.geomgroup[group] = group == scene.DRAWN_GROUP
        self._camera = self._model.camera(workspace.CAMERA).id
        self._table = self._model.geom("table").id
        self._curve: U8 | None = None
        self.look = Look()
        atexit.register(self.close)  # for one that is kept for the process's life: EGL complains if Python ends first

    def wear(self, look: Look) -> None:
        """Change how the scene looks from the next frame on."""
        self.look = look
        model, nominal = self._model, self._nominal
        turn = np.zeros(9)
        quaternion = np.zeros(4)
        angle = float(np.linalg.norm(look.turn))
        mujoco.mju_quat2Mat(turn, nominal.cam_quat[self._camera])
        model.cam_pos[self._camera] = nominal.cam_pos[self._camera] + turn.reshape(3, 3) @ np.array(look.shift)
        axis = np.array(look.turn) / angle if angle else np.array([1.0, 0.0, 0.0])
        mujoco.mju_axisAngle2Quat(quaternion, axis, angle)
        model.cam_quat[self._camera] = poses.multiply(np.array(nominal.cam_quat[self._camera]), quaternion)
        model.light_diffuse[0] = nominal.light_diffuse[0] * look.light
        model.light_pos[0] = nominal.light_pos[0] + np.array(look.lamp)
        model.vis.headlight.ambient[:] = nominal.vis.headlight.ambient * look.ambient
        model.geom_rgba[self._table, :3] = nominal.geom_rgba[self._table, :3] * np.array(look.table)
        levels = np.arange(256)[:, None] * np.array(look.gain)
        self._curve = None if look.gain == (1.0, 1.0, 1.0) else np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def draw(self, qpos: F64, hidden: bool = False) -> U8:
        """One picture (height, width, 3) uint8 RGB of generalised positions (13,). hidden: without the object."""
        self._data.qpos[:] = qpos
        if hidden:
            self._data.qpos[6:9] = (0.0, 0.0, -5.0)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, self._camera, self._option)
        picture: U8 = self._renderer.render()
        if self._curve is not None:
            picture = np.stack([self._curve[:, channel][picture[:, :, channel]] for channel in range(3)], axis=2)
        return picture

    def close(self) -> None:
        """Give the GL context back; a second call does nothing."""
        atexit.unregister(self.close)
        self._renderer.close()
