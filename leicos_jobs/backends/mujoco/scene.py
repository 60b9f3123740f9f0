"""A task's scene for the SO-101 as a MuJoCo model, in the base frame of the MJCF so101_new_calib: arm along +x, table
at z = 0.

The numbers are in `workspace` and in the task's file. The MJCF is read as an asset and changed: LeIsaac's drives, light
meshes to draw, pads to grip with, and a table, the task's object and marks, a room, a lamp and the camera around it.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from leicos_jobs.backends.mujoco import meshes, workspace
from leicos_jobs.backends.mujoco.engine import mujoco
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.tasks.task import DEFAULT, Scene, task_named

_FRICTION = (0.95, 0.01, 0.001)
"""Sliding as the asset of LeIsaac's cube; torsional (m) for pads of about 15 mm; rolling (m)."""
_SMALL_CELL, _CELL = 0.003, 0.008
"""Grid (m) of the drawn meshes: the gripper's parts, whose outline tells roll and opening, and the rest."""
_FINE = ("moving_jaw", "wrist_roll_follower")

_YELLOW, _AMBER, _BLACK = (0.85, 0.67, 0.18, 1.0), (0.82, 0.44, 0.16, 1.0), (0.09, 0.09, 0.10, 1.0)
TABLE_COLOUR = (0.66, 0.55, 0.43, 1.0)
_WALL_COLOUR, _FLOOR_COLOUR = (0.60, 0.62, 0.64, 1.0), (0.45, 0.45, 0.46, 1.0)

DRAWN_GROUP = 2
"""Geom group of everything the camera sees; collision shapes are in group 3."""


MARK_THICKNESS = 0.0005
"""m; half of it, so that a mark shows on the table."""


def model(
    control_hz: float = workspace.CONTROL_HZ,
    gripper_effort: float = workspace.GRIPPER_EFFORT,
    scene: Scene | None = None,
) -> Any:
    """The compiled MjModel, one for each set of values in a process. A caller that changes it (a renderer its lights)
    copies it first. scene: None for the default task's."""
    return _model(float(control_hz), float(gripper_effort), scene or task_named(DEFAULT).scene)


@cache
def _model(control_hz: float, gripper_effort: float, scene: Scene) -> Any:
    spec = mujoco.MjSpec.from_file(str(meshes.asset_folder() / "so101_new_calib.xml"))
    spec.option.timestep = 1.0 / (control_hz * substeps(control_hz))
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    spec.visual.quality.offsamples = 0
    spec.visual.map.znear = 0.01
    _drive(spec, gripper_effort)
    _simplify(spec)
    _pads(spec)
    _surroundings(spec)
    _on_the_table(spec, scene)
    compiled = spec.compile()
    _damp(compiled)
    return compiled


def substeps(control_hz: float) -> int:
    """Physics steps in a control step: as few as keep the integrator at PHYSICS_HZ or more."""
    return max(1, math.ceil(workspace.PHYSICS_HZ / control_hz - 1e-9))


def _drive(spec: Any, gripper_effort: float) -> None:
    """LeIsaac's limits, gains and efforts on the MJCF's joints and actuators."""
    for joint in JOINTS.joints:
        limits = [math.radians(degrees) for degrees in joint.limits]
        part, actuator = spec.joint(joint.name), spec.actuator(joint.name)
        part.range = limits
        actuator.ctrlrange = limits
        actuator.gainprm[0], actuator.biasprm[1] = workspace.STIFFNESS, -workspace.STIFFNESS
        actuator.forcerange = [-workspace.EFFORT, workspace.EFFORT]
        if joint.name == "gripper":
            actuator.forcerange = [-gripper_effort, gripper_effort]
            actuator.biasprm[2] = -workspace.DAMPING
            part.armature = workspace.GRIPPER_ARMATURE


def _damp(compiled: Any) -> None:
    """Joint dampers, set once compiled: the type of MjSpec's damping field differs between MuJoCo releases."""
    compiled.dof_damping[: JOINTS.width] = workspace.DAMPING
    gripper = int(compiled.joint("gripper").dofadr[0])
    compiled.dof_damping[gripper] = compiled.dof_frictionloss[gripper] = 0.0


def _simplify(spec: Any) -> None:
    """Draw light meshes; keep the full ones, as hulls of at most 64 vertices, for collisions."""
    for mesh in list(spec.meshes):
        stem = Path(mesh.file).stem
        mesh.maxhullvert = 64
        fine = stem.startswith(_FINE)
        corners = meshes.read_stl(meshes.asset_folder() / "assets" / mesh.file)
        vertices, faces = meshes.cluster(corners, _SMALL_CELL if fine else _CELL)
        light = spec.add_mesh(name=f"{stem}_light")
        light.uservert, light.userface = vertices.ravel().tolist(), faces.ravel().tolist()
        light.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
    for material in spec.materials:
        black = material.name.startswith("sts3215")
        amber = material.name.startswith(("moving_jaw", "motor_holder"))
        material.rgba = _BLACK if black else _AMBER if amber else _YELLOW
        material.specular, material.shininess = (0.5, 0.5) if black else (0.2, 0.3)
    for body in spec.bodies:
        for geom in body.geoms:
            if geom.type == mujoco.mjtGeom.mjGEOM_MESH and geom.classname.name == "visual":
                geom.meshname = f"{geom.meshname}_light"


def _pads(spec: Any) -> None:
    """Enable the finger-tip pads: hulls alone touch a cube at points."""
    for name in (workspace.FIXED_PAD, workspace.MOVING_PAD):
        pad = spec.geom(name)
        pad.contype = pad.conaffinity = 1
        pad.condim, pad.friction = 4, _FRICTION


def _surroundings(spec: Any) -> None:
    """Table, a room around it, one soft lamp, the camera."""
    world, box = spec.worldbody, mujoco.mjtGeom.mjGEOM_BOX
    world.add_geom(
        name="table", type=box, size=[0.40, 0.45, 0.02], pos=[0.25, 0.0, -0.02], rgba=TABLE_COLOUR,
        friction=_FRICTION, condim=4, group=DRAWN_GROUP,
    )  # fmt: skip
    for name, size, pos, rgba in (
        ("floor", [3.0, 3.0, 0.01], [0.0, 0.0, -0.75], _FLOOR_COLOUR),
        ("wall_back", [0.01, 3.0, 2.0], [-1.6, 0.0, 0.9], _WALL_COLOUR),
        ("wall_side", [3.0, 0.01, 2.0], [0.0, 1.7, 0.9], _WALL_COLOUR),
    ):
        world.add_geom(name=name, type=box, size=size, pos=pos, rgba=rgba, contype=0, conaffinity=0, group=DRAWN_GROUP)
    world.add_light(
        name="lamp", pos=[0.6, -0.5, 1.5], dir=[-0.2, 0.3, -1.0], castshadow=False,
        diffuse=[0.55, 0.55, 0.55], specular=[0.2, 0.2, 0.2],
    )  # fmt: skip
    camera = world.add_camera(name=workspace.CAMERA, pos=workspace.CAMERA_POSITION, fovy=workspace.CAMERA_FOVY)
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = workspace.CAMERA_AXES
    spec.visual.headlight.ambient = [0.38, 0.38, 0.38]
    spec.visual.headlight.diffuse = [0.28, 0.28, 0.28]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]


def _on_the_table(spec: Any, scene: Scene) -> None:
    """The task's object and marks."""
    item, world = scene.object, spec.worldbody
    body = world.add_body(name=workspace.OBJECT_BODY, pos=[*item.centre, item.half])
    body.add_freejoint(name=workspace.OBJECT_BODY)
    body.add_geom(
        name=workspace.OBJECT_BODY, type=mujoco.mjtGeom.mjGEOM_BOX, size=[item.half] * 3, mass=item.mass,
        rgba=[*item.colour, 1.0], friction=_FRICTION, condim=4, solref=[0.01, 1.0], group=DRAWN_GROUP,
    )  # fmt: skip
    for index, mark in enumerate(scene.marks):
        world.add_geom(
            name=f"mark_{index}", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[mark.radius, MARK_THICKNESS, 0.0],
            pos=[*mark.place, 0.0], rgba=[*mark.colour, 1.0], contype=0, conaffinity=0, group=DRAWN_GROUP,
        )  # fmt: skip
