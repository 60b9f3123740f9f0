from __future__ import annotations

import numpy as np
import pytest

from leicos_jobs.judge import metrics

ONE = np.ones(1)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)[:, None]


def test_errors_refuse_a_lost_row() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        metrics.absolute_errors(column(1, 2), column(1))


def test_moving_windows_are_the_whole_ones_that_span_enough_degrees() -> None:
    still, moving = np.zeros(16), np.linspace(0, 4, 16)
    truth = np.concatenate([still, moving, still, moving[:8]]).astype(np.float32)[:, None]
    assert metrics.moving_windows(truth, np.array([0.5])) == [16]
    assert metrics.moving_windows(truth, np.array([0.49])) == []


def test_mean_action_is_over_the_demos_that_last_so_long() -> None:
    demos = [column(0, 2, 4), column(2, 4)]
    assert metrics.mean_action(demos, 5)[:, 0].tolist() == [1, 3, 4, 4, 4]
    assert metrics.mean_action(demos, 2, first=1)[:, 0].tolist() == [3, 4]


def test_baselines_from_the_truth() -> None:
    truth = column(1, 2, 3, 4)
    assert metrics.first_row(truth, 1, 2)[:, 0].tolist() == [2, 2]
    assert metrics.previous_action(truth)[:, 0].tolist() == [1, 1, 2, 3]


def test_lag1_autocorrelation() -> None:
    # v = 1, -1, 1, -1, mean 0: -(1+1+1) / 4
    assert metrics.lag1_autocorrelation(column(0, 1, 0, 1, 0)) == pytest.approx([-0.75])
    # v = 0, 1, 2, 3, mean 1.5: (-1.5*-0.5 - 0.5*0.5 + 0.5*1.5) / (2*1.5^2 + 2*0.5^2)
    assert metrics.lag1_autocorrelation(column(0, 0, 1, 3, 6)) == pytest.approx([1.25 / 5])
    assert np.isnan(metrics.lag1_autocorrelation(column(5, 5, 5, 5, 5))).all()
    assert np.isnan(metrics.lag1_autocorrelation(column(0, 1, 2))).all()


def test_sign_flips_count_pairs_that_move() -> None:
    # v = 1, -1, 0, 1, 2: pairs that both move are (1, -1) and (1, 2)
    assert metrics.sign_flips(column(0, 1, 0, 0, 1, 3)) == pytest.approx([0.5])
    assert metrics.sign_flips(column(1, 1, 1)).tolist() == [0.0]


def test_limit_violations() -> None:
    assert metrics.limit_violations(column(-101, 0, 100, 101), np.array([[-100.0, 100.0]])).tolist() == [0.5]


def test_judge_compares_with_every_baseline_over_moving_windows() -> None:
    truth = np.linspace(0, 31, 32, dtype=np.float32)[:, None]
    facts = metrics.judge([truth + 1], [truth], [np.zeros_like(truth)], 2 * ONE, np.array([[-100.0, 100.0]]))
    windows = facts["windows"]
    assert (facts["mae"], facts["mae_deg"]) == ([1.0], [2.0])
    assert (windows["count"], windows["labels"], windows["labels_deg"]) == (2, [1.0], [2.0])
    assert windows["first_row"] == [7.5]
    assert windows["mean_action"] == [15.5]
    assert windows["previous_action"] == [pytest.approx(31 / 32)]
    assert facts["sign_flips_labels"] == [0.0]


def test_judge_of_an_arm_that_never_moves_has_no_windows() -> None:
    truth = np.zeros((20, 1), dtype=np.float32)
    facts = metrics.judge([truth], [truth], [truth], ONE, np.array([[-1.0, 1.0]]))
    assert facts["windows"]["count"] == 0
    assert facts["windows"]["labels"] == [None]
    assert facts["lag1_autocorrelation_labels"] == [None]


def test_judge_starts_the_mean_action_at_the_video_s_own_row() -> None:
    demo = np.linspace(0, 63, 64, dtype=np.float32)[:, None]
    facts = metrics.judge([demo[8:]], [demo[8:]], [demo], ONE, np.array([[-100.0, 100.0]]), first_rows=[8])
    assert facts["windows"]["mean_action"] == [0.0]
