"""Kinematics, the camera found from demonstrations, and what the encoder is taught through it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from leicos_jobs.backends.compact.artifact import Norms
from leicos_jobs.backends.compact.camera import find_camera, project
from leicos_jobs.backends.compact.data import Training
from leicos_jobs.backends.compact.guide import Guide
from leicos_jobs.backends.compact.images import ImageSpec
from leicos_jobs.backends.compact.kinematics import Kinematics
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101

SKELETON = SO101.kinematics
MARGIN = 2
SPEC = ImageSpec((100, 84), 1, 2, 2, 96, 80, MARGIN)
CAMERA = torch.tensor([0.75, -0.65, 0.35, 0.15, 0.0, 0.12, 0.0, 0.9, 0.05, -0.05])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_parts_stand_where_mujoco_s_forward_kinematics_puts_them() -> None:
    angles = torch.tensor([[0.0] * 6, [0.3, -0.5, 0.4, 0.7, -0.2, 0.5]])
    points = Kinematics(SKELETON)(angles).numpy()
    # By mj_kinematics on so101_new_calib.xml: the body `gripper` (point 3) and the moving jaw's tip (point 8).
    assert points[:, 3] == pytest.approx(
        np.array([[0.293235, -0.000178, 0.23437], [0.215651, -0.054882, 0.212955]]), abs=2e-5
    )
    assert points[:, 8] == pytest.approx(
        np.array([[0.392635, -0.000777, 0.242551], [0.311894, -0.096734, 0.195676]]), abs=2e-5
    )


def stick_figures(episodes: int = 6, rows: int = 24) -> Training:
    """Demos of an arm drawn as thick lines, seen through CAMERA."""
    rng = np.random.default_rng(0)
    low, high = np.array([-0.6, -1.2, 0.0, 0.4, -0.6, 0.0]), np.array([0.6, 0.3, 1.4, 1.5, 0.6, 1.0])
    radians = np.concatenate(
        [np.linspace(rng.uniform(low, high), rng.uniform(low, high), rows) for _ in range(episodes)]
    ).astype(np.float32)
    with torch.no_grad():
        places = project(CAMERA, Kinematics(SKELETON)(torch.from_numpy(radians))[:, list(SKELETON.spine)]).numpy()
    centre = np.array([SPEC.width / 2, SPEC.height / 2]) + MARGIN
    joints = places * SPEC.width / 2 + centre
    frames = np.full((len(radians), SPEC.height + 2 * MARGIN, SPEC.width + 2 * MARGIN, 3), 60, dtype=np.uint8)
    y, x = np.mgrid[0 : frames.shape[1], 0 : frames.shape[2]] + 0.5
    for frame, line in zip(frames, joints, strict=True):
        for start, stop in itertools.pairwise(line):
            along = stop - start
            share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
            frame[np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1]) < 2.5] = 220
    states = SO101.action.to_motor(radians)
    bounds = np.arange(episodes)[:, None] * rows + np.array([0, rows])
    return Training(frames, states, states, bounds, SPEC)


def test_the_camera_is_found_from_what_moves() -> None:
    data = stick_figures()
    fit = find_camera(data, SKELETON, SO101, seed=0)
    assert fit is not None
    assert fit.found
    points = Kinematics(SKELETON)(torch.from_numpy(SO101.action.to_recorded(data.states)))
    error = (project(fit.camera, points) - project(CAMERA, points)).norm(dim=-1).mean() * SPEC.width / 2
    assert float(error) < 2.5  # px


def test_pictures_of_something_else_are_not_taken_for_the_robot() -> None:
    data = stick_figures()
    mixed = np.random.default_rng(1).permutation(len(data.states))
    fit = find_camera(
        Training(data.frames, data.actions, data.states[mixed], data.bounds, SPEC), SKELETON, SO101, seed=0
    )
    assert fit is not None
    assert not fit.found
    still = np.full_like(data.frames, 60)
    assert find_camera(Training(still, data.actions, data.states, data.bounds, SPEC), SKELETON, SO101, seed=0) is None


def guide() -> Guide:
    one = np.ones(6, dtype=np.float32)
    norms = Norms(10 * one, 20 * one, one, one[:3], one[:3])
    return Guide(SKELETON, SO101, norms, CAMERA, SPEC)


def test_a_shifted_window_shifts_the_places() -> None:
    here = guide()
    places = here.places(here.points(torch.zeros(2, 6)))
    shift = torch.tensor([[MARGIN, MARGIN], [MARGIN + 1, MARGIN - 2]])
    moved = (here.shifted(places, shift) - places).detach()
    assert torch.equal(moved[0], torch.zeros_like(moved[0]))
    assert moved[1, 0].tolist() == pytest.approx([4 / SPEC.width, -2 / SPEC.height], abs=1e-6)


def test_drawn_poses_are_seen_near_where_they_are() -> None:
    here = guide()
    poses, seen = here.drawn(torch.zeros(200, 6), np.random.default_rng(0))
    error = (seen - here.places(here.points(poses))).norm(dim=-1).mean()
    assert poses.shape == (800, 6)
    assert 0.02 < float(error.detach()) < 0.12


def test_the_tool_error_is_in_metres_at_the_fingertips() -> None:
    here = guide()
    state = torch.zeros(1, 6)
    turned = state.clone()
    turned[0, 0] = 0.1  # 2 motor units of shoulder_pan are 2.2 degrees, with the tool 0.2 to 0.4 m from the axis
    metres = float(here.tool_error(turned, state).detach()) * 0.02
    assert 0.2 * np.radians(2.2) < metres < 0.4 * np.radians(2.2)
