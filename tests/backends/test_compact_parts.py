"""Pieces that need PyTorch but no training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from leicos_jobs.backends import fuse, registry
from leicos_jobs.backends.compact import augment, encoder_training, head
from leicos_jobs.backends.compact.model import Encoder, Keypoints
from leicos_jobs.backends.compact.settings import CompactSettings
from leicos_jobs.core.errors import InputError


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_keypoints_find_the_brightest_place() -> None:
    layer = Keypoints(1, 1, 1, 5, 9)
    with torch.no_grad():
        for part in (layer.maps, layer.looks):
            part.weight.fill_(1.0)
            part.bias.zero_()
    features = torch.zeros(1, 1, 5, 9)
    features[0, 0, 4, 2] = 50.0
    places, looks = layer(features)
    assert places[0, 0].tolist() == pytest.approx([-0.5, 1.0], abs=1e-5)
    assert looks[0, 0].tolist() == pytest.approx([50.0])


def test_the_encoder_gives_state_and_step_of_each_frame() -> None:
    torch.manual_seed(0)
    encoder = Encoder((48, 40), (8, 12), 1, 16, 6).eval()
    frames = torch.rand(3, 3, 40, 48)
    with torch.no_grad():
        assert encoder(frames).shape == (3, 2, 6)
        assert torch.allclose(encoder(frames)[1], encoder(frames[1:2])[0], atol=1e-5)


def test_guided_places_are_handed_out_and_lifted_to_a_state() -> None:
    torch.manual_seed(0)
    encoder = Encoder((48, 40), (8, 12), 0, 16, 6, guided=5).eval()
    with torch.no_grad():
        out, places = encoder.with_places(torch.rand(3, 3, 40, 48))
        assert places.shape == (3, 5, 2)
        assert float(places.abs().max()) <= 1.0
        assert torch.equal(out[:, 0], encoder.lift(places.flatten(1)))  # the correction begins at zero


def test_every_row_is_seen_once_an_epoch_whatever_the_step_it_goes_on_from() -> None:
    rows = np.concatenate([augment.draw(3, step, 5, 23, 2, 1.0).rows for step in range(8, 12)])
    assert len(rows) == len(set(rows.tolist())) == 20
    again = augment.draw(3, 9, 5, 23, 2, 1.0)
    assert np.array_equal(again.rows, rows[5:10])
    assert not np.array_equal(augment.draw(4, 9, 5, 23, 2, 1.0).rows, again.rows)


def test_no_augmentation_is_the_labelling_picture() -> None:
    frames = torch.randint(0, 256, (4, 20, 24, 3), dtype=torch.uint8)
    numbers = augment.draw(0, 0, 4, 4, 2, 0.0)
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.2, 0.3])
    windows = augment.cut(frames, numbers.shift, (20, 16))
    assert torch.equal(windows, frames[:, 2:-2, 2:-2])
    assert torch.allclose(
        augment.augmented(windows, mean, std, numbers), augment.normalise(windows, mean, std), atol=1e-5
    )


def test_head_windows_stay_inside_their_episode() -> None:
    bounds = np.array([[0, 30], [30, 41], [41, 90]])
    for rows in head.draw_windows(0, 5, bounds):
        episode = np.searchsorted(bounds[:, 1], rows, side="right")
        assert (episode == episode[:, :1]).all()
        assert (np.diff(rows, axis=1) >= 0).all()


def test_a_head_recovers_an_action_that_leads_the_state() -> None:
    rng = np.random.default_rng(0)
    path = np.cumsum(np.convolve(rng.normal(0, 0.05, 900), np.ones(20) / 20, "same"))[:, None].astype(np.float32)
    path = (path - path.mean()) / path.std()
    states, actions = path[:-3], path[3:]
    estimates = np.stack([states, actions - states], axis=1) + rng.normal(0, 0.05, (len(states), 2, 1))
    fitted = head.train_head(estimates.astype(np.float32), states, actions, np.array([[0, len(states)]]), 0, 300)
    clean = np.stack([states, actions - states], axis=1)[head.neighbours(len(states))]
    with torch.no_grad():
        guess = fitted(torch.from_numpy(clean)).numpy()
    assert np.abs(guess - actions).mean() < 0.3 * np.abs(states - actions).mean()


def test_covered_patches_hide_what_was_there() -> None:
    numbers = augment.draw(0, 0, 64, 64, 2, 1.0)
    covered = augment.cover(torch.full((64, 20, 24, 3), 9.0), numbers)
    share = float((covered != 9.0).float().mean())
    assert 0.01 < share < 0.2
    assert set(covered[0].unique().tolist()) <= {9.0, *numbers.paint[0].ravel().tolist()}


def test_hann_keeps_lines_and_ends() -> None:
    line = np.arange(20, dtype=np.float32)[:, None]
    smooth = fuse.smooth(line, 5)
    assert smooth[4:-4] == pytest.approx(line[4:-4], abs=1e-5)
    assert fuse.smooth(np.full((6, 2), 7, dtype=np.float32), 5) == pytest.approx(7)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [encoder_training.rate(step, 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.05
    assert rates[-1] < 1e-4


def test_settings_name_every_mistake() -> None:
    chosen = {"size": "full", "steps": 7, "channels": [8, 16]}
    assert registry.settings("train", "compact", chosen).recipe().channels == (8, 16)
    assert CompactSettings(size="full").recipe().bf16
    with pytest.raises(InputError, match="stepz") as error:
        registry.settings("train", "compact", {"stepz": 1, "batch": 0})
    assert "batch" in str(error.value)
