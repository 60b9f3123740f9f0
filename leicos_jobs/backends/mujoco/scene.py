"""LiftCube for the SO-101 as a MuJoCo model, in the base frame of the MJCF so101_new_calib (arm along +x, table z=0).

From LeIsaac (reference/leisaac.md 2.1, 2.4, 2.5): joint limits, servo gains and effort limits, cube, success height,
front camera. From the MJCF: kinematics (identical), masses, armature, joint friction. Where LeIsaac's numbers are not
public, they are chosen and marked so: the cube's mean place on the table, the table's size, contact stiffness.

The gripper's effort limit is LeIsaac's too: it sets mass of the nearest object / 0.15 before each step, 0.067 N m for
this cube. PhysX clamps spring and damper together, so here the gripper's damper belongs to the clamped actuator, and
the joint has no friction of its own (0.052 N m as the MJCF would have it leaves next to nothing of 0.067).
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import mujoco

from leicos_jobs.backends.mujoco import meshes
from leicos_jobs.robots.embodiment import SO101

CONTROL_HZ = 60.0
"""LeIsaac's single-arm tasks step at 1/60 s with decimation 1."""
PHYSICS_HZ = 480.0
"""Least rate of the integrator; a control step is a whole number of its steps. The light jaw needs it: at 240 Hz it
overshoots a step of its target by 0.01 rad."""

STIFFNESS, DAMPING, EFFORT = 17.8, 0.60, 10.0
"""LeIsaac's implicit actuators: N m/rad, N m s/rad, N m."""
CUBE_HALF, CUBE_MASS = 0.015077, 0.0100
"""Half edge (m) and mass (kg) of Lightwheel's BuildingBlock003."""
GRIPPER_EFFORT = CUBE_MASS / 0.15
"""N m; LeIsaac's dynamic_reset_gripper_effort_limit_sim for this cube."""
GRIPPER_ARMATURE = 1e-4
"""kg m2, chosen: PhysX needs none, this integrator a little. More, or the 0.028 of the MJCF's geared motor, and
0.067 N m cannot stop the jaw at its target: it swings past it by 0.2 rad (0.0005) to 0.7 rad (0.005)."""

CUBE_CENTRE = (0.235, 0.0)
"""Mean place of the cube (m), chosen: LeIsaac's is inside its USD, which is not public text."""
CUBE_SPREAD, CUBE_YAW = 0.075, math.radians(30.0)
"""LeIsaac's reset noise: +-m in x and y, +-rad."""
SUCCESS_HEIGHT = 0.1675
"""Cube z above which LiftCube has succeeded: 0.20 m over LeIsaac's base origin, which is at z = -0.0325 here."""

CAMERA = "front"
CAMERA_POSITION = (0.766, -0.621, 0.348)
CAMERA_AXES = (0.5792, 0.8029, 0.141, -0.3089, 0.0561, 0.9494)
CAMERA_FOVY = 38.78
"""Front camera: position (m), x and y axes, vertical field of view (degrees)."""

JAW_FRAME = (-0.021, -0.070, 0.02)
"""LeIsaac's jaw target of ee_frame, in the moving jaw's frame (m)."""
FIXED_PAD, MOVING_PAD, CUBE_GEOM = "fixed_jaw_pad", "moving_jaw_pad", "cube"
GRIPPER_BODY, JAW_BODY, CUBE_BODY = "gripper", "moving_jaw_so101_v1", "cube"

_FRICTION = (0.95, 0.01, 0.001)
"""Sliding as the cube's asset; torsional (m) for pads of about 15 mm; rolling (m)."""
_SMALL_CELL, _CELL = 0.003, 0.008
"""Grid (m) of the drawn meshes: the gripper's parts, whose outline tells roll and opening, and the rest."""
_FINE = ("moving_jaw", "wrist_roll_follower")

_YELLOW, _AMBER, _BLACK = (0.93, 0.74, 0.12, 1.0), (0.93, 0.46, 0.08, 1.0), (0.09, 0.09, 0.10, 1.0)
TABLE_COLOUR = (0.66, 0.55, 0.43, 1.0)
CUBE_COLOUR = (0.78, 0.10, 0.09, 1.0)
_WALL_COLOUR, _FLOOR_COLOUR = (0.60, 0.62, 0.64, 1.0), (0.45, 0.45, 0.46, 1.0)

DRAWN_GROUP = 2
"""Geom group of everything the camera sees; collision shapes are in group 3."""


def model(control_hz: float = CONTROL_HZ, gripper_effort: float = GRIPPER_EFFORT) -> Any:
    """The compiled MjModel, one for each pair of values in a process. Whoever changes it (a renderer its lights)
    copies it first."""
    return _model(float(control_hz), float(gripper_effort))


@cache
def _model(control_hz: float, gripper_effort: float) -> Any:
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
    compiled = spec.compile()
    _damp(compiled)
    return compiled


def substeps(control_hz: float) -> int:
    """Physics steps in a control step: as few as keep the integrator at PHYSICS_HZ or more."""
    return max(1, math.ceil(PHYSICS_HZ / control_hz - 1e-9))


def _drive(spec: Any, gripper_effort: float) -> None:
    """LeIsaac's limits, gains and efforts on the MJCF's joints and actuators."""
    for joint in SO101.joints:
        limits = [math.radians(degrees) for degrees in joint.usd_deg]
        part, actuator = spec.joint(joint.name), spec.actuator(joint.name)
        part.range = limits
        actuator.ctrlrange = limits
        actuator.gainprm[0], actuator.biasprm[1] = STIFFNESS, -STIFFNESS
        actuator.forcerange = [-EFFORT, EFFORT]
        if joint.name == "gripper":
            actuator.forcerange = [-gripper_effort, gripper_effort]
            actuator.biasprm[2] = -DAMPING
            part.armature = GRIPPER_ARMATURE


def _damp(compiled: Any) -> None:
    """Joint dampers, set once compiled: the type of MjSpec's damping field differs between MuJoCo releases."""
    compiled.dof_damping[: SO101.width] = DAMPING
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
    for name in (FIXED_PAD, MOVING_PAD):
        pad = spec.geom(name)
        pad.contype = pad.conaffinity = 1
        pad.condim, pad.friction = 4, _FRICTION


def _surroundings(spec: Any) -> None:
    """Table, cube, a room around them, one soft lamp, the camera."""
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
    cube = world.add_body(name=CUBE_BODY, pos=[*CUBE_CENTRE, CUBE_HALF])
    cube.add_freejoint(name="cube")
    cube.add_geom(
        name=CUBE_GEOM, type=box, size=[CUBE_HALF] * 3, mass=CUBE_MASS, rgba=CUBE_COLOUR,
        friction=_FRICTION, condim=4, solref=[0.01, 1.0], group=DRAWN_GROUP,
    )  # fmt: skip
    world.add_light(
        name="lamp", pos=[0.6, -0.5, 1.5], dir=[-0.2, 0.3, -1.0], castshadow=False,
        diffuse=[0.55, 0.55, 0.55], specular=[0.2, 0.2, 0.2],
    )  # fmt: skip
    camera = world.add_camera(name=CAMERA, pos=CAMERA_POSITION, fovy=CAMERA_FOVY)
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = CAMERA_AXES
    spec.visual.headlight.ambient = [0.38, 0.38, 0.38]
    spec.visual.headlight.diffuse = [0.28, 0.28, 0.28]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
