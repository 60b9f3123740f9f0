"""The arm on its table in numbers: what LeIsaac says, what the MJCF says, and what had to be chosen. What is on the
table is the task's (`leicos_jobs.tasks`). No mujoco in here.

From LeIsaac (docs/decisions/leisaac.md 3.1, 4, 5.1): joint limits, servo gains and effort limits, front
camera. From the MJCF so101_new_calib: kinematics (identical), masses, armature, joint friction. Where LeIsaac's
numbers are not public they are chosen and marked so: the table's size, contact stiffness.

The gripper's effort limit is LeIsaac's too: it sets mass of the nearest object / 0.15 before each step, 0.067 N m for
the cube of 10 g. PhysX clamps spring and damper together, so here the gripper's damper belongs to the clamped
actuator, and the joint has no friction of its own (0.052 N m as the MJCF would have it leaves next to nothing of
0.067).
"""

from __future__ import annotations

CONTROL_HZ = 60.0
"""LeIsaac's single-arm tasks step at 1/60 s with decimation 1."""
PHYSICS_HZ = 480.0
"""Least rate of the integrator; a control step is a whole number of its steps. The light jaw needs it: at 240 Hz it
overshoots a step of its target by 0.01 rad."""

STIFFNESS, DAMPING, EFFORT = 17.8, 0.60, 10.0
"""LeIsaac's implicit actuators: N m/rad, N m s/rad, N m."""
GRIPPER_EFFORT = 0.0100 / 0.15
"""N m; LeIsaac's dynamic_reset_gripper_effort_limit_sim for an object of 10 g."""
GRIPPER_ARMATURE = 1e-4
"""kg m2, chosen: PhysX needs none, this integrator a little. More, or the 0.028 of the MJCF's geared motor, and
0.067 N m cannot stop the jaw at its target: it swings past it by 0.2 rad (0.0005) to 0.7 rad (0.005)."""

CAMERA = "front"
CAMERA_POSITION = (0.766, -0.621, 0.348)
CAMERA_AXES = (0.5792, 0.8029, 0.141, -0.3089, 0.0561, 0.9494)
CAMERA_FOVY = 38.78
"""Front camera: position (m), x and y axes, vertical field of view (degrees)."""

JAW_FRAME = (-0.021, -0.070, 0.02)
"""LeIsaac's jaw target of ee_frame, in the moving jaw's frame (m)."""
FIXED_PAD, MOVING_PAD = "fixed_jaw_pad", "moving_jaw_pad"
GRIPPER_BODY, JAW_BODY, OBJECT_BODY = "gripper", "moving_jaw_so101_v1", "object"
