"""The labeller from H.264 files to actions, with a small random network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gr00t_small as small
import numpy as np
import pytest
import torch

from leicos_jobs.backends import fuse
from leicos_jobs.backends.gr00t_dreams.backend import Gr00tDreamsLabeller
from leicos_jobs.backends.gr00t_dreams.engine import Plan
from leicos_jobs.backends.gr00t_dreams.labeller import Labeller
from leicos_jobs.backends.gr00t_dreams.noise import window_noise
from leicos_jobs.backends.gr00t_dreams.pixels import Preprocessor, View
from leicos_jobs.backends.gr00t_dreams.settings import LabellerSettings
from leicos_jobs.backends.requests import LabelRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video

SIZE = (64, 48)
LENGTHS = (20, 1, 9)
SETTINGS = LabellerSettings(precision="fp32", decoders=2, device="cpu")
PLAN = Plan(torch.float32, frames=4, windows=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labels")
    small.write_artifact(root / "artifact", SIZE)
    for k, frames in enumerate(LENGTHS):
        write_video(root / f"{k}.mp4", small.pictures(frames, *SIZE, seed=k), 30)
    return root


@pytest.fixture(scope="module")
def labeller(folder: Path) -> Iterator[Labeller]:
    made = Labeller(SETTINGS, folder / "artifact", PLAN)
    yield made
    made.close()


def label(made: Labeller, folder: Path, names: list[int]) -> tuple[dict[int, np.ndarray], list[str]]:
    begun: list[str] = []
    requests = [LabelRequest(str(k), folder / f"{k}.mp4", 100 + k) for k in names]
    found = {int(result.sample): result for result in made.process(requests, begun.append)}
    assert sorted(found) == sorted(names)
    assert found[names[0]].notes["smoothing_rows"] == 1
    return {k: result.actions for k, result in found.items()}, begun


@pytest.fixture(scope="module")
def labels(labeller: Labeller, folder: Path) -> dict[int, np.ndarray]:
    return label(labeller, folder, [0, 1, 2])[0]


def test_labels_are_the_plain_networks(labels, folder):
    """Stride 1, the second frame clamped to the last, means over windows, and each window's own noise."""
    made = small.Plain(small.random_weights())
    cpu = torch.device("cpu")
    pixels = Preprocessor(View(*SIZE, 0.95, 224, 256, 16, 2), cpu, torch.float32, fused=False)
    low, high = np.float32(small.STATS_LOW), np.float32(small.STATS_HIGH)
    for k, frames in enumerate(LENGTHS):
        pictures = torch.from_numpy(read_all(folder / f"{k}.mp4"))
        images = pixels.levels[pixels._enlarged(pixels._shrunk(pictures)).long()]
        pairs = [row for t in range(frames) for row in (t, min(t + 16, frames - 1))]
        noise = torch.from_numpy(window_noise(100 + k, 0, frames, 512)).view(frames, 16, 32)
        chunks = (made.act(images[pairs], noise)[:, :, :6].numpy() + 1) / 2 * (high - low) + low
        assert labels[k].shape == (frames, 6)
        assert labels[k].dtype == np.float32
        assert np.abs(labels[k] - fuse.fuse(chunks)).max() < 1e-3 * np.abs(chunks).max() / 10


def test_neighbours_order_and_restart_change_nothing(labels, labeller, folder):
    other, begun = label(labeller, folder, [2, 0])
    assert sorted(begun) == ["0", "2"]
    for k in (0, 2):
        assert np.array_equal(other[k], labels[k])
    assert np.array_equal(label(labeller, folder, [1])[0][1], labels[1])


def test_another_seed_is_another_label(labels, labeller, folder):
    (found,) = labeller.process([LabelRequest("a", folder / "2.mp4", 7)], lambda _sample: None)
    assert not np.allclose(found.actions, labels[2], atol=1e-3)


def test_smoothing_is_recorded(labels, folder):
    settings = SETTINGS.model_copy(update={"smoothing_rows": 5})
    made = Labeller(settings, folder / "artifact", PLAN)
    try:
        (found,) = made.process([LabelRequest("0", folder / "0.mp4", 100)], lambda _sample: None)
    finally:
        made.close()
    assert found.notes["smoothing_rows"] == 5
    assert np.allclose(found.actions, fuse.smooth(labels[0], 5), atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: write_video(path, small.pictures(6, 96, 48), 30), "96x48, the model was trained on 64x48"),
        (lambda path: write_video(path, small.pictures(6, *SIZE), 16), "16 frames/s, the model was trained on 30"),
        (lambda path: path.write_bytes(b"no video"), "not a video"),
        (lambda path: None, "cannot be opened"),
    ],
)
def test_what_does_not_fit_is_refused_and_blamed(labels, labeller, folder, tmp_path, make, message):
    """The video that is at fault is announced last, and the labeller goes on with the next call."""
    make(tmp_path / "bad.mp4")
    begun: list[str] = []
    requests = [LabelRequest("good", folder / "0.mp4", 1), LabelRequest("bad", tmp_path / "bad.mp4", 2)]
    with pytest.raises(InputError, match=message):
        list(labeller.process(requests, begun.append))
    assert begun[-1] == "bad"
    assert np.array_equal(label(labeller, folder, [2])[0][2], labels[2])


def test_the_entry_point_s_class(folder):
    made = Gr00tDreamsLabeller(LabellerSettings(precision="fp32", device="cpu", videos=3), folder / "artifact", folder)
    assert made.batch == 3
    assert (made.name, made.upstream[:7]) == ("gr00t-dreams", "ec3881d")


def test_no_gpu_is_said(folder):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="has none"):
        Labeller(LabellerSettings(device="cuda"), folder / "artifact")
