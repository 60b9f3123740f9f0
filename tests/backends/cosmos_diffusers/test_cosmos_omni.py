"""Cosmos 3, tiny: the same worker, chunks and seeds; what a folder of weights must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torchvision", reason="COSMOS 3 WAS NOT TESTED: torchvision is not installed", exc_type=ImportError)
pytest.importorskip("diffusers", reason="COSMOS 3 WAS NOT TESTED: diffusers is not installed", exc_type=ImportError)
import torch
from cosmos_tiny import HEIGHT, WIDTH, generator, request, results
from helpers.videos import images

from leicos_jobs.backends.cosmos import omni
from leicos_jobs.backends.cosmos.generator import CosmosGenerator, GenerationError
from leicos_jobs.backends.cosmos.pipeline import Wanted
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.probe import verify

OMNI = {"family": "cosmos3", "guidance": 6.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CosmosGenerator:
    return generator(tmp_path_factory.mktemp("work"), **OMNI)


def test_videos_come_as_from_the_other_family(made: CosmosGenerator, tmp_path: Path) -> None:
    """Length, seeds, chunks; a bad sample costs itself alone."""
    requests = [request(tmp_path / "1", name, seed=seed, frames=21) for name, seed in (("a", 1), ("b", 2))]
    bad = request(tmp_path / "1", "c", prompt=" ")
    videos: dict[str, bytes] = {}
    with pytest.raises(GenerationError, match="its prompt is empty"):
        results(made, [bad, *requests], into=videos)
    verify(requests[0].out_dir / "video.mp4", frames=21, fps=30.0, size=(WIDTH, HEIGHT))
    assert videos["a"] != videos["b"]
    assert results(made, [request(tmp_path / "2", "a", seed=1, frames=21)]) == {"a": videos["a"]}
    assert made.seeds_per_sample(made.settings, 21) == 2


def test_clip_prompt_negative_prompt_and_rate_reach_the_network(made: CosmosGenerator) -> None:
    clip = images(12, WIDTH, HEIGHT)
    base: dict[str, Any] = {
        "clip": clip, "prompt": "lift", "seed": 1, "frames": 13, "width": WIDTH, "height": HEIGHT, "fps": 30.0,
    }  # fmt: skip
    first = made.model.make(Wanted(**base))
    assert (made.model.make(Wanted(**(base | {"clip": clip[-5:]}))) == first).all()
    for change in ({"clip": clip[:5]}, {"prompt": "drop"}, {"fps": 15.0}, {"seed": 2}):
        assert (made.model.make(Wanted(**(base | change))) != first).any(), change


def test_the_conditioning_frames_reach_the_autoencoder_as_they_are(
    made: CosmosGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a clip without a dark pixel, which diffusers would take for one of another range."""
    seen: list[torch.Tensor] = []
    encode = made.model.pipe.vae.encode
    monkeypatch.setattr(made.model.pipe.vae, "encode", lambda video: (seen.append(video), encode(video))[1])
    bright = images(5, WIDTH, HEIGHT) // 4 + 180
    made.model.make(Wanted(bright, "lift", 1, 13, WIDTH, HEIGHT))
    wanted = torch.from_numpy(bright).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    assert torch.allclose(seen[0][:, :, :5, :HEIGHT, :WIDTH], wanted, atol=1e-5)


def test_a_folder_in_diffusers_layout_makes_the_same_videos(made: CosmosGenerator, tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    omni.tiny().save_pretrained(str(folder))
    from_folder = generator(tmp_path, weights=str(folder), **OMNI)
    assert from_folder.model.digest != "random"
    videos = [results(model, [request(tmp_path / str(n), "a")]) for n, model in enumerate((made, from_folder))]
    assert videos[0] == videos[1]
    with pytest.raises(InputError, match=r"not Cosmos 3 of size nano: its network has 32 channels"):
        CosmosGenerator(CosmosSettings(size="nano", weights=str(folder), device="cpu", **OMNI), None, tmp_path)
    for part in (folder / "transformer").glob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:-1000])
    with pytest.raises(InputError, match="damaged, incomplete or of another model"):
        generator(tmp_path, weights=str(folder), **OMNI)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": "2b"}, r"cosmos3 has no size 2b(.|\n)*edge, nano, tiny"),
        ({"size": "nano"}, r"weights is required(.|\n)*nvidia/Cosmos3-Nano"),
        ({"size": "tiny", "post_train": {}}, "cannot be post-trained here"),
        ({"size": "nano", "weights": "a", "base": "b"}, "takes all parts from one folder"),
    ],
)
def test_what_cosmos_3_cannot_do_is_refused_before_a_gpu_is_held(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CosmosGenerator.check_run(CosmosSettings(family="cosmos3", **settings), 30, 640, 480)


def test_predict_has_no_size_of_cosmos_3() -> None:
    with pytest.raises(InputError, match=r"predict2\.5 has no size nano"):
        CosmosGenerator.check_run(CosmosSettings(size="nano", weights="a"), 30, 640, 480)
