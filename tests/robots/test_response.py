"""The joints' response: found again from data that it made, and free of what a logger could not know."""

from __future__ import annotations

import numpy as np
import pytest

from leicos_jobs.core.errors import DefectError
from leicos_jobs.robots.response import Response, fit_response, free_running_error, previous_action_error

WIDTH = 6
TRUE = Response(
    a=(0.8, 0.5, 0.7, 0.6, 0.9, 0.4),
    b=(0.2, 0.5, 0.25, 0.4, 0.1, 0.55),
    c=(0.0, 1.0, 0.5, -0.5, 0.0, 2.0),
    lag=(0, 1, 2, 0, 1, 2),
)


def episodes(count: int, rows: int = 120) -> list[tuple[np.ndarray, np.ndarray]]:
    rng, made = np.random.default_rng(3), []
    for _ in range(count):
        actions = np.cumsum(rng.normal(size=(rows, WIDTH)), axis=0).astype(np.float32)
        made.append((actions, TRUE.states(rng.normal(size=WIDTH).astype(np.float32), actions)))
    return made


def test_a_step_of_the_formula_by_hand() -> None:
    actions = np.arange(24, dtype=np.float32).reshape(4, WIDTH)
    states = TRUE.states(np.full(WIDTH, 10, np.float32), actions)
    assert states[0].tolist() == [10.0] * WIDTH
    # joint 2 has lag 2: before row 2 its first action is all that it knows
    third = 0.7 * 10 + 0.25 * actions[0, 2] + 0.5
    assert states[1, 2] == pytest.approx(third)
    assert states[3, 2] == pytest.approx(0.7 * (0.7 * third + 0.25 * actions[0, 2] + 0.5) + 0.25 * actions[0, 2] + 0.5)
    assert states[2, 0] == pytest.approx(0.8 * (0.8 * 10 + 0.2 * actions[0, 0]) + 0.2 * actions[1, 0])


def test_the_fit_finds_what_made_the_data() -> None:
    found = fit_response(episodes(4))
    assert found.lag == TRUE.lag
    for name in "abc":
        np.testing.assert_allclose(getattr(found, name), getattr(TRUE, name), atol=2e-3)
    test = episodes(6)[4:]
    assert free_running_error(found, test).max() < 0.02
    assert (free_running_error(found, test) < previous_action_error(test)).all()


def test_a_state_knows_nothing_of_later_actions() -> None:
    actions, states = episodes(1)[0]
    changed = actions.copy()
    changed[60:] += 100
    np.testing.assert_array_equal(TRUE.states(states[0], changed)[:61], states[:61])


def test_the_previous_action_shortcut_is_measured_on_its_own_rows() -> None:
    actions = np.arange(12, dtype=np.float32)[:, None] * np.ones((1, WIDTH), np.float32)
    states = np.vstack([actions[:1] * 0 + 7, actions[:-1] + 0.5])
    np.testing.assert_allclose(previous_action_error([(actions, states)]), 0.5)


def test_too_little_data_is_said() -> None:
    short = (np.zeros((4, WIDTH), np.float32), np.zeros((4, WIDTH), np.float32))
    with pytest.raises(DefectError, match="long enough"):
        fit_response([short])
