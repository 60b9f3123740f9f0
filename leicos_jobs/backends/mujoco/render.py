"""Pictures from LiftCube's front camera, on the CPU, fast enough to record and generate by the thousand.

No shadows, reflections or multi-sampling, light meshes (see `meshes`), one raster thread a process. What varies between
episodes and within an imagined one is a `Look`: the camera's jitter as LeIsaac resets it, light, and colour.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from leicos_jobs.backends.mujoco import poses, scene

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

JITTER_M, JITTER_RAD = 0.005, math.radians(0.05)
"""LeIsaac's camera reset noise, uniform in each axis (leisaac.md 2.4)."""


@dataclass(frozen=True)
class Look:
    """How the scene looks.

    shift: camera (3,) m along its own axes; turn: (3,) rad about them. light: factor of the lamp; ambient: factor of
    the light from everywhere; lamp: displacement (3,) m of the lamp. table: (3,) factors of the table's colour. gain:
    (3,) factors of the finished picture's red, green and blue, as an exposure or a white balance would.
    """

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    light: float = 1.0
    ambient: float = 1.0
    lamp: tuple[float, float, float] = (0.0, 0.0, 0.0)
    table: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def vector(self) -> F64:
        """All numbers in one row (17,)."""
        return np.array([*self.shift, *self.turn, self.light, self.ambient, *self.lamp, *self.table, *self.gain])

    @classmethod
    def from_vector(cls, values: ArrayLike) -> Look:
        """The inverse of `vector`."""
        v = [float(value) for value in np.asarray(values)]
        return cls(
            (v[0], v[1], v[2]), (v[3], v[4], v[5]), v[6], v[7], (v[8], v[9], v[10]), (v[11], v[12], v[13]),
            (v[14], v[15], v[16]),
        )  # fmt: skip

    def toward(self, other: Look, share: float) -> Look:
        """A look between this one (share 0) and another (share 1)."""
        return Look.from_vector((1.0 - share) * self.vector() + share * other.vector())


def draw_look(rng: np.random.Generator, spread: float = 1.0) -> Look:
    """LeIsaac's camera jitter and a modest change of light and colour; `spread` scales the latter (1 = a recording)."""

    def around(size: float, count: int) -> F64:
        return 1.0 + spread * size * rng.uniform(-1.0, 1.0, count)

    shift, turn = rng.uniform(-JITTER_M, JITTER_M, 3), rng.uniform(-JITTER_RAD, JITTER_RAD, 3)
    light, ambient = around(0.10, 1), around(0.06, 1)
    lamp = spread * rng.uniform(-0.15, 0.15, 3)
    table, gain = around(0.05, 3), around(0.015, 3)
    return Look.from_vector(np.concatenate([shift, turn, light, ambient, lamp, table, gain]))


class Renderer:
    """A GL context and a private copy of the model. Use as a context manager, or call `close`."""

    def __init__(self, width: int, height: int) -> None:
        self._model: Any = copy.copy(scene.model())
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        self._nominal: Any = scene.model()
        self._data: Any = mujoco.MjData(self._model)
        self._renderer: Any = mujoco.Renderer(self._model, height, width)
        for flag in ("SHADOW", "REFLECTION", "SKYBOX", "FOG", "HAZE"):
            self._renderer.scene.flags[getattr(mujoco.mjtRndFlag, f"mjRND_{flag}")] = 0
        self._option: Any = mujoco.MjvOption()
        for group in range(len(self._option.geomgroup)):
            self._option.geomgroup[group] = group == scene.DRAWN_GROUP
        self._camera = self._model.camera(scene.CAMERA).id
        self._table = self._model.geom("table").id
        self._curve: U8 | None = None
        self.look = Look()

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
        """One picture (height, width, 3) uint8 RGB of generalised positions (13,). hidden: without the cube."""
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
        """Give the GL context back; left to the interpreter's end, EGL complains."""
        self._renderer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
