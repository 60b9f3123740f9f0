"""The robot of the embedded scene."""

from __future__ import annotations

from leicos_jobs.robots.embodiment import embodiment

ROBOT = embodiment("so101")
JOINTS = ROBOT.action
"""Joints of its actions and states; recordings hold radians."""
