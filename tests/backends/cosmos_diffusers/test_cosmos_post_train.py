from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="POST-TRAINING OF COSMOS WAS NOT TESTED: diffusers is not installed")
pytest.importorskip("peft", reason="POST-TRAINING OF COSMOS WAS NOT TESTED: peft is not installed")
import torch
from cosmos_tiny import HEIGHT, WIDTH, request, results
from helpers.videos import images

from leicos_jobs.backends import registry
from leicos_jobs.backends.cosmos import flow, models
from leicos_jobs.backends.cosmos.autoencoder import FrameAutoencoder
from leicos_jobs.backends.cosmos.clips import windows
from leicos_jobs.backends.cosmos.generator import CosmosGenerator
from leicos_jobs.backends.cosmos.images import prepare
from leicos_jobs.backends.cosmos.post_train import CosmosPostTrainer
from leicos_jobs.backends.cosmos.recipes import PostTrainSettings
from leicos_jobs.backends.cosmos.rounding import rounded
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.backends.requests import PostTrainRequest
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.formats.cosmos import Clip, write_post_training
from leicos_jobs.media.encode import write_video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    clips = []
    for number in range(3):
        write_video(root / f"{number}.mp4", np.roll(images(95, WIDTH, HEIGHT), 7 * number, axis=2), 30.0)
        clips.append((root / f"{number}.mp4", "lift"))
    write_post_training(root / "dataset", clips)
    return root / "dataset"


def train(
    dataset: Path,
    folder: Path,
    stop_at: int | None = None,
    at_report: Callable[[int], None] = lambda _done: None,
    **settings: Any,
) -> Path:
    """Post-train; the last clip is held out. stop_at: step at whose report a stop is asked for."""

    def report(done: int, _total: int) -> None:
        at_report(done - 3)  # three windows come before the steps
        if stop_at is not None and done - 3 >= stop_at:
            raise RetryError("stopped")

    for part in ("work", "resume"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    chosen = CosmosSettings(size="tiny", steps=2, post_train=PostTrainSettings(**settings))
    wanted = PostTrainRequest(
        dataset, (WIDTH, HEIGHT), 5, folder / "out", folder / "resume", report=report, held_out=(3,)
    )
    CosmosPostTrainer(chosen, folder / "work").train(wanted)
    return folder / "out"


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("trained"))


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "held_out/training.jsonl").read_text().splitlines()]


def videos(checkpoint: Path | None, folder: Path) -> bytes:
    made = CosmosGenerator(CosmosSettings(size="tiny", steps=2), checkpoint, folder)
    return results(made, [request(folder, "a")])["a"]


def test_the_checkpoint_is_what_generates(trained: Path, tmp_path: Path) -> None:
    told = json.loads((trained / "artifact.json").read_text())
    assert (told["size"], told["clips"], told["held_out"], told["prompts"]) == ("tiny", 2, 1, ["lift"])
    assert told["held_out_loss"] == curve(trained)[-1]["held_out_loss"]
    assert curve(trained)[-1]["held_out_loss"] < curve(trained)[1]["held_out_loss"]
    assert [path.name for path in sorted((trained / "held_out").glob("*.mp4"))] == [
        "step_000003_0.mp4",
        "step_000006_0.mp4",
    ]
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    assert videos(trained, tmp_path / "with") != videos(None, tmp_path / "without")


def test_a_training_that_was_stopped_ends_where_an_undisturbed_one_does(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(RetryError):
        train(dataset, tmp_path, stop_at=4)
    kept = (tmp_path / "resume/trained-latents.safetensors").stat().st_mtime_ns
    again = train(dataset, tmp_path)
    assert curve(again) == curve(trained)
    name = "transformer/diffusion_pytorch_model.safetensors"
    assert (again / name).read_bytes() == (trained / name).read_bytes()
    assert (tmp_path / "resume/trained-latents.safetensors").stat().st_mtime_ns == kept


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    loaded: dict[str, torch.Tensor] = load_file(out / "transformer/diffusion_pytorch_model.safetensors")
    return loaded


def test_two_processes_train_as_one_does_and_go_on_after_one_was_killed(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    def kill(done: int) -> None:
        if done == 4:
            [other] = multiprocessing.active_children()
            other.kill()

    with pytest.raises(RetryError, match=r"process 1 of the training ended \(exit -9\)"):
        train(dataset, tmp_path, at_report=kill, processes=2)
    assert not multiprocessing.active_children()
    assert torch.load(tmp_path / "resume/denoiser.pt")["step"] == 4
    out = train(dataset, tmp_path, processes=2)
    for ours, alone in zip(curve(out), curve(trained), strict=True):
        assert ours.keys() == alone.keys()
        assert all(ours[name] == pytest.approx(alone[name], rel=1e-4) for name in ours.keys() - {"part"})
    one, two, before = weights_of(trained), weights_of(out), models.tiny()[0].state_dict()
    apart = sum(float((two[name] - one[name]).abs().sum()) for name in one)
    moved = sum(float((before[name] - one[name]).abs().sum()) for name in one)
    assert apart < 0.02 * moved


def test_a_batch_that_cannot_be_shared_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"processes: 2 cannot share a batch of 3(.|\n)*multiple of 2"):
        train(dataset, tmp_path, processes=2, batch=3)


def test_training_in_bfloat16_learns_what_rounding_to_the_nearest_would_lose(dataset: Path, tmp_path: Path) -> None:
    wanted = {"precision": "bfloat16", "steps": 12, "learning_rate": 2e-5, "warm_up_steps": 0, "previews": 0}
    with pytest.raises(RetryError):
        train(dataset, tmp_path / "stopped", stop_at=7, **wanted)
    again, out = train(dataset, tmp_path / "stopped", **wanted), train(dataset, tmp_path / "whole", **wanted)
    assert curve(again) == curve(out)
    assert all(torch.equal(value, weights_of(out)[name]) for name, value in weights_of(again).items())
    exact = weights_of(train(dataset, tmp_path / "exact", **(wanted | {"precision": "float32"})))
    before = models.tiny()[0].state_dict()
    name = "transformer_blocks.0.ff.net.0.proj.weight"
    moved, wished = (made[name].float() - before[name] for made in (weights_of(out), exact))
    assert torch.nn.functional.cosine_similarity(moved.flatten(), wished.flatten(), dim=0) > 0.3


def test_rounding_by_chance_is_right_on_average() -> None:
    value = torch.tensor([1.0009765625, -1.0009765625, 0.0, 3e-5])  # an eighth of the way to the next one
    draws = torch.stack([rounded(value, torch.Generator().manual_seed(seed)).float() for seed in range(4000)])
    assert torch.equal(draws[:, 2], torch.zeros(4000))
    assert len(draws[:, 0].unique()) == 2
    assert torch.allclose(draws.mean(dim=0), value, atol=2e-4)


def test_a_loss_that_is_no_number_is_refused_and_not_kept(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="denoiser is nan") as raised:
        train(dataset, tmp_path, learning_rate=1e30, warm_up_steps=0)
    assert "learning_rate" in str(raised.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "resume/denoiser.pt").exists() or torch.load(tmp_path / "resume/denoiser.pt")["step"] < 6


def test_lora_changes_the_whole_network_by_small_matrices(dataset: Path, tmp_path: Path) -> None:
    out = train(dataset, tmp_path, method="lora", lora_rank=2)
    state = torch.load(tmp_path / "resume/denoiser.pt")
    assert all("lora" in name for name in state["weights"])
    before, after = models.tiny()[0].state_dict(), weights_of(out)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed
    assert all(any(part in name for part in flow.LORA_TARGETS) for name in changed)
    videos(out, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "artifact.json").unlink(), "does not describe a checkpoint"),
        (lambda folder: (folder / "transformer/config.json").write_text("{}"), "is not what"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused(change: Any, words: str, trained: Path, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(trained, tmp_path / "copy")
    change(folder)
    with pytest.raises(InputError, match=words):
        CosmosGenerator(CosmosSettings(size="tiny"), folder, tmp_path)


def test_a_checkpoint_of_another_size_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"size tiny, not predict2\.5, small"):
        CosmosGenerator(CosmosSettings(size="small", device="cpu"), trained, tmp_path)


def test_the_loss_asks_for_the_velocity_of_the_frames_that_are_not_given() -> None:
    clean, noise = torch.randn(2, 2, 16, 4, 4, 4)
    level, seen = torch.tensor([0.2, 0.9]), {}

    def denoiser(**inputs: torch.Tensor) -> tuple[torch.Tensor]:
        seen.update(inputs)
        wrong_where_given = noise - clean
        wrong_where_given[:, :, : flow.GIVEN] += 100
        return (wrong_where_given,)

    assert float(flow.flow_loss(denoiser, clean, torch.zeros(2, 1, 8), level, noise)) == 0
    assert torch.equal(seen["hidden_states"][:, :, :2], clean[:, :, :2])
    assert torch.allclose(seen["hidden_states"][1, :, 2:], (0.1 * clean + 0.9 * noise)[1, :, 2:], atol=1e-6)
    assert torch.allclose(seen["timestep"][:, 0, :, 0, 0], torch.tensor([[1e-4, 1e-4, t, t] for t in (0.2, 0.9)]))


def test_noise_levels_reach_where_sampling_begins() -> None:
    levels = flow.noise_levels(torch.Generator().manual_seed(0), 20_000, PostTrainSettings().recipe("small"))
    assert 0 < levels.min() < levels.max() < 1
    assert 0.045 < float((levels > 0.98).float().mean()) < 0.075
    assert 0.8 < float(levels.median()) < 0.87  # 5 / 6


def test_windows_are_spread_over_a_demo_and_a_short_one_gives_one() -> None:
    long, short = Clip(1, Path("1"), "p", 133), Clip(2, Path("2"), "p", 90)
    assert [(w.clip.number, w.first) for w in windows([long, short], 93, 3)] == [(1, 0), (1, 20), (1, 40), (2, 0)]


def test_the_autoencoder_of_single_pictures_has_wans_face() -> None:
    torch.manual_seed(0)
    vae = FrameAutoencoder(channels=(8, 8, 8), blocks=1).eval()
    video = prepare(images(9, 64, 48), (64, 48), 32)
    assert video.shape == (1, 3, 9, 64, 64)
    with torch.no_grad():
        latents = vae.encode(video).latents
        assert latents.shape == (1, 128, 3, 4, 4)
        assert vae.decode(latents)[0].shape == video.shape
        changed = video.clone()
        changed[:, :, 7] += 0.3  # one of the last four pictures
        same = torch.isclose(vae.encode(changed).latents, latents).all(dim=(0, 1, 3, 4))
        alone = vae.decode(vae.encode(changed).latents)[0] - vae.decode(latents)[0]
    assert same.tolist() == [True, True, False]
    assert [bool(part.abs().max() > 1e-6) for part in alone[0].transpose(0, 1)] == [False] * 7 + [True] + [False]


def test_a_generator_is_trained_where_it_says_so() -> None:
    backend = registry.load("generate", "cosmos")
    trained = {size: backend.is_trained(CosmosSettings(size=size)) for size in ("2b", "small", "tiny")}
    assert trained == {"2b": False, "small": True, "tiny": False}
    assert backend.is_trained(CosmosSettings(size="tiny", post_train=PostTrainSettings()))
    assert CosmosSettings(size="small").guidance == 1
    assert "post_train" not in backend.identity(CosmosSettings(size="small"))
