from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from mujoco_demo import HEIGHT, WIDTH, demo

from leicos_jobs.backends.mujoco import looks, meshes, poses, workspace
from leicos_jobs.backends.mujoco.looks import Look
from leicos_jobs.backends.mujoco.render import Renderer
from leicos_jobs.tasks.task import DEFAULT, task_named

POSE = np.radians([5, -50, 30, 70, 20, 40])


def qpos(joints: np.ndarray = POSE, cube: tuple[float, float, float] = (0.25, -0.03, 0.0151)) -> np.ndarray:
    return np.array([*joints, *cube, 1.0, 0.0, 0.0, 0.0])


def red(picture: np.ndarray) -> np.ndarray:
    values = picture.astype(int)
    return (values[..., 0] > 50) & (values[..., 0] > 4 * values[..., 1:].max(axis=-1))


@pytest.mark.parametrize("cube", [(0.25, -0.03, 0.0151), (0.31, 0.07, 0.0151), (0.18, -0.07, 0.12)])
def test_the_cube_is_where_leisaacs_pinhole_camera_sees_it(cube: tuple[float, float, float]) -> None:
    # Camera of docs/decisions/leisaac.md 4.2 in the base frame, fx = fy = 681.8; nothing of the scene's own numbers.
    position, quaternion = np.array([-0.6, -0.75, 0.38]), np.array([0.77337, 0.55078, -0.2374, -0.20537])
    base, _ = poses.mjcf_to_base(np.array(cube))
    x, y, z = poses.rotate(poses.conjugate(quaternion), base - position)
    expected = 320 + 681.8 * x / -z, 240 - 681.8 * y / -z
    with closing(Renderer(640, 480)) as renderer:
        rows, columns = np.nonzero(red(renderer.draw(qpos(cube=cube))))
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=2.5)


def test_roll_and_jaw_show_in_the_picture() -> None:
    with closing(Renderer(320, 240)) as renderer:
        still = renderer.draw(qpos()).astype(int)
        for joint, size in ((4, 10), (5, 10)):
            moved = POSE.copy()
            moved[joint] += np.radians(size)
            changed = np.abs(renderer.draw(qpos(moved)).astype(int) - still).max(axis=2) > 30
            assert changed.sum() > 60


def test_parts_have_distinct_colours() -> None:
    with closing(Renderer(320, 240)) as renderer:
        picture = renderer.draw(qpos()).reshape(-1, 3).astype(int)
    r, g, b = picture.T
    yellow, black = (r > 110) & (g > 80) & (b < 70), picture.max(axis=1) < 40
    amber = (r > 110) & (g > 40) & (g < 0.66 * r) & (b < 60) & ~red(picture)
    assert yellow.sum() > 700
    assert black.sum() > 80
    assert amber.sum() > 150
    assert red(picture).sum() > 120


def test_the_cube_can_be_hidden_and_nothing_else_changes() -> None:
    with closing(Renderer(WIDTH, HEIGHT)) as renderer:
        shown, hidden = renderer.draw(qpos()).copy(), renderer.draw(qpos(), hidden=True).copy()
        assert not red(hidden).any()
        assert (shown != hidden).any(axis=2).mean() < 0.02
        assert np.array_equal(renderer.draw(qpos()), shown)


def test_looks_change_the_picture_and_the_nominal_one_comes_back() -> None:
    rng = np.random.default_rng(0)
    with closing(Renderer(WIDTH, HEIGHT)) as renderer:
        nominal = renderer.draw(qpos()).copy()
        for _ in range(3):
            renderer.wear(looks.draw_look(rng))
            difference = np.abs(renderer.draw(qpos()).astype(int) - nominal).mean()
            assert 0.3 < difference < 15
        renderer.wear(Look())
        assert np.array_equal(renderer.draw(qpos()), nominal)


def test_a_look_is_seventeen_numbers_and_the_camera_stays_in_leisaacs_jitter() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        look = looks.draw_look(rng)
        assert Look.from_vector(look.vector()) == look
        for one in (look, looks.drifted(look, rng, 2.0)):
            assert np.abs(one.shift).max() <= 0.005
            assert np.degrees(np.abs(one.turn).max()) <= 0.05 + 1e-9
    assert Look().toward(look, 0.0) == Look()
    assert Look().toward(look, 1.0).vector() == pytest.approx(look.vector())


def test_the_look_of_a_picture_can_be_read_back() -> None:
    done, look = demo()
    with closing(Renderer(WIDTH, HEIGHT)) as renderer:

        def draw(worn: Look) -> np.ndarray:
            renderer.wear(worn)
            return renderer.draw(done.qpos[10]).copy()

        picture = draw(look)
        error = [np.abs(draw(one).astype(int) - picture).mean() for one in (Look(), looks.fit_look(picture, draw))]
    assert error[1] < 0.3 * error[0]


def test_light_meshes_keep_the_outline_with_a_fraction_of_the_triangles() -> None:
    corners = meshes.read_stl(meshes.asset_folder() / "assets" / "moving_jaw_so101_v1.stl")
    vertices, faces = meshes.cluster(corners, 0.003)
    assert len(faces) < len(corners) / 15
    assert faces.max() == len(vertices) - 1
    for pick in (np.min, np.max):
        assert pick(vertices, axis=0) == pytest.approx(pick(corners.reshape(-1, 3), axis=0), abs=0.003)
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    outward = np.einsum("ij,ij->i", normals, vertices[faces].mean(axis=1) - vertices.mean(axis=0))
    assert (outward > 0).mean() > 0.5  # triangles kept their turn


def test_success_and_camera_facts_are_leisaacs() -> None:
    assert task_named(DEFAULT).rule.above == 0.1675
    assert workspace.CAMERA_FOVY == 38.78
    assert pytest.approx(0.0667, abs=1e-4) == workspace.GRIPPER_EFFORT
