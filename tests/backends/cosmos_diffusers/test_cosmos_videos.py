"""Videos of the tiny model: lengths, seeds, prompts, and what one bad sample costs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torchvision", reason="COSMOS WAS NOT TESTED: torchvision is not installed", exc_type=ImportError)
pytest.importorskip("diffusers", reason="COSMOS WAS NOT TESTED: diffusers is not installed", exc_type=ImportError)
import torch
from cosmos_tiny import HEIGHT, WIDTH, generator, request, results, write_weights
from helpers.videos import images

from leicos_jobs.backends.cosmos import images as cosmos_images
from leicos_jobs.backends.cosmos import pipeline
from leicos_jobs.backends.cosmos.generator import CosmosGenerator, GenerationError
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.probe import verify
from leicos_jobs.testing.backend_contract import GeneratorContract


class TestCosmosGenerator(GeneratorContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> CosmosGenerator:
        return generator(tmp_path)

    @pytest.fixture
    def requests(self, tmp_path: Path) -> Sequence[GenerateRequest]:
        return [request(tmp_path, "a" * 20), request(tmp_path, "b" * 20, frames=24)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CosmosGenerator:
    return generator(tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("frames", [6, 13, 14, 21, 22])
def test_a_video_has_the_number_of_frames_that_was_asked_for(
    frames: int, made: CosmosGenerator, tmp_path: Path
) -> None:
    (result,) = made.process([request(tmp_path, "a", frames=frames)], lambda _sample: None)
    verify(result.video, frames=frames, fps=30.0, size=(WIDTH, HEIGHT))
    assert result.notes["chunks"] == made.seeds_per_sample(made.settings, frames)
    assert result.notes["weights_sha256"] == "random"


def test_equal_seeds_give_equal_bytes_in_any_batch_and_process(made: CosmosGenerator, tmp_path: Path) -> None:
    first = results(made, [request(tmp_path / "1", name, seed=seed) for name, seed in (("a", 1), ("b", 2))])
    other = generator(tmp_path)
    again = results(other, [request(tmp_path / "2", name, seed=seed) for name, seed in (("b", 2), ("a", 1))])
    assert first == again
    assert first["a"] != first["b"]


def test_only_the_last_five_frames_of_the_clip_count(made: CosmosGenerator, tmp_path: Path) -> None:
    frames = images(12, WIDTH, HEIGHT)
    wanted = [pipeline.Wanted(clip, "lift", 1, 13, WIDTH, HEIGHT) for clip in (frames, frames[-5:], frames[:5])]
    long, last, first = (made.model.make(item) for item in wanted)
    assert (long == last).all()
    assert (long != first).any()


def test_a_chunk_goes_on_from_the_last_frames_of_the_one_before(made: CosmosGenerator) -> None:
    model, clip = made.model, images(5, WIDTH, HEIGHT)
    long = model.make(pipeline.Wanted(clip, "lift", 7, 21, WIDTH, HEIGHT))
    first = model.make(pipeline.Wanted(clip, "lift", 7, 13, WIDTH, HEIGHT))
    assert (long[:13] == first).all()
    second = model.make(pipeline.Wanted(first[-5:], "lift", 8, 13, WIDTH, HEIGHT))
    # the model's own frames are not rounded to 8 bits before they go on
    assert np.abs(long[13:].astype(int) - second[5:].astype(int)).mean() < 2
    fresh = model.make(pipeline.Wanted(clip, "lift", 8, 13, WIDTH, HEIGHT))
    assert np.abs(long[13:].astype(int) - fresh[5:].astype(int)).mean() > 2


def test_a_clip_of_another_shape_is_covered_and_cropped_in_the_middle() -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 200)[None, None, :, None], (5, 50, 200, 3)).astype(np.uint8)
    fitted = cosmos_images.fit(ramp, 64, 32)
    assert fitted.shape == (1, 3, 5, 32, 64)
    assert abs(float(fitted.mean())) < 0.02
    assert float(fitted[..., 0].mean()) == pytest.approx(-float(fitted[..., -1].mean()), abs=0.02)
    assert float(fitted.max()) - float(fitted.min()) == pytest.approx(1.0, abs=0.05)  # half of the width is left


def poisoned(made: CosmosGenerator, bad: str, fault: Any) -> Any:
    """Have the denoiser fail whenever it works for the prompt `bad`."""
    embedding = made.model.prompts.embedding(bad)

    def hook(_module: Any, _arguments: Any, named: dict[str, Any], output: Any) -> Any:
        return fault(output) if torch.equal(named["encoder_hidden_states"], embedding) else output

    return made.model.pipe.transformer.register_forward_hook(hook, with_kwargs=True)


def nan(output: Any) -> Any:
    return (output[0] * float("nan"),)


def out_of_memory(_output: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(("fault", "said"), [(nan, r"not finite \(NaN\)"), (out_of_memory, r"vae_tiling: true")])
def test_a_bad_sample_costs_itself_alone(fault: Any, said: str, tmp_path: Path) -> None:
    made = generator(tmp_path)
    hook = poisoned(made, "bad", fault)
    requests = [request(tmp_path, name, prompt=prompt) for name, prompt in (("a", "good"), ("b", "bad"), ("c", "good"))]
    announced: list[str] = []
    done: dict[str, bytes] = {}
    with pytest.raises(GenerationError, match=said):
        results(made, requests, announced.append, done)
    assert sorted(done) == ["a", "c"]
    assert announced[-1] == "b"
    hook.remove()
    assert set(results(made, [request(tmp_path / "again", "b", prompt="bad")])) == {"b"}


def test_the_next_video_is_denoised_while_one_is_decoded(tmp_path: Path) -> None:
    """Decoding of the first waits, half done, for the denoising of the second. Neither disturbs the other."""
    made = generator(tmp_path)
    wanted = {name: {"prompt": name, "seed": seed} for seed, name in enumerate("ab")}
    apart = {name: results(made, [request(tmp_path / "1", name, **wanted[name])])[name] for name in wanted}
    embedding, denoising, decoded = made.model.prompts.embedding("b"), threading.Event(), [0]

    def denoises(_module: Any, _arguments: Any, named: dict[str, Any]) -> None:
        if torch.equal(named["encoder_hidden_states"], embedding):
            denoising.set()

    def decodes(_module: Any, _arguments: Any) -> None:
        decoded[0] += 1  # a latent frame at a time
        assert decoded[0] != 2 or denoising.wait(60), "the denoising of the next one waits for the decoding"

    made.model.pipe.transformer.register_forward_pre_hook(denoises, with_kwargs=True)
    made.model.pipe.vae.decoder.register_forward_pre_hook(decodes)
    assert results(made, [request(tmp_path / "2", name, **wanted[name]) for name in wanted]) == apart


@pytest.mark.parametrize("part", ["transformer", "vae.decoder"])
def test_what_lacks_memory_beside_another_video_is_made_alone(part: str, tmp_path: Path) -> None:
    made = generator(tmp_path)
    names = ("a", "b", "c")
    apart = results(made, [request(tmp_path / "1", name) for name in names])
    calls = [0]

    def fault(_module: Any, _arguments: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            out_of_memory(None)

    attrgetter(part)(made.model.pipe).register_forward_pre_hook(fault)
    announced: list[str] = []
    assert results(made, [request(tmp_path / "2", name) for name in names], announced.append) == apart
    assert announced == ["a", "b", "c", "a"]


def test_a_state_in_which_nothing_works_any_more_ends_the_process(tmp_path: Path) -> None:
    made = generator(tmp_path)

    def fault(_output: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    poisoned(made, "bad", fault)
    announced: list[str] = []
    requests = [request(tmp_path, name, prompt=prompt) for name, prompt in (("a", "bad"), ("b", "good"))]
    with pytest.raises(SystemExit):
        list(made.process(requests, announced.append))
    assert announced[-1] == "a"


def test_black_pictures_short_clips_and_empty_prompts_are_the_samples_failure(tmp_path: Path) -> None:
    made = generator(tmp_path)
    short = tmp_path / "short.mp4"
    write_video(short, images(4, WIDTH, HEIGHT), 30)
    for name, wanted, said in (
        ("a", request(tmp_path, "a", clip=short), "its clip has 4 frames, 5 are needed"),
        ("b", request(tmp_path, "b", prompt=" "), "its prompt is empty"),
    ):
        with pytest.raises(GenerationError, match=said):
            results(made, [wanted])
        assert name == wanted.sample
    last = made.model.pipe.vae.decoder.conv_out
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.constant_(last.bias, -1.0)
    with pytest.raises(GenerationError, match="is black"):
        results(made, [request(tmp_path, "c")])


def test_whoever_stops_asking_stops_the_model(made: CosmosGenerator, tmp_path: Path) -> None:
    process = made.process([request(tmp_path, name, frames=22) for name in ("a", "b", "c")], lambda _sample: None)
    next(process)
    process.close()
    assert set(results(made, [request(tmp_path / "again", "a")])) == {"a"}


def test_each_prompt_is_encoded_once_and_the_encoder_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gc

    from transformers import Qwen2_5_VLForConditionalGeneration as Encoder

    folder = write_weights(tmp_path / "hub")
    made = generator(tmp_path, weights=str(folder))
    calls: list[int] = []
    forward = Encoder.forward

    def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(self, *arguments, **named)

    monkeypatch.setattr(Encoder, "forward", counted)
    names = {"a": "lift", "b": "lift", "c": "drop"}
    videos = results(made, [request(tmp_path, name, prompt=prompt) for name, prompt in names.items()])
    assert len(calls) == 3  # lift, drop and the negative prompt
    assert videos["a"] == videos["b"] != videos["c"]
    results(made, [request(tmp_path / "again", "d", prompt="drop")])
    assert len(calls) == 3
    gc.collect()
    assert not [item for item in gc.get_objects() if isinstance(item, Encoder)]
    assert made.model.prompts.embedding("lift").shape == (1, 512, 64)


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    folder = write_weights(tmp_path / "hub")
    (folder / "tokenizer/tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="tokenizer cannot be loaded"):
        generator(tmp_path, weights=str(folder)).model.prepare(["lift"])


def test_a_guardrail_that_is_not_installed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cosmos_guardrail is not installed"):
        generator(tmp_path, guardrail=True)
