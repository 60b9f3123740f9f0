"""Requests for the tiny model, and a folder of weights in diffusers' layout with everything that a real one has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.videos import images

from leicos_jobs.backends.base import Started
from leicos_jobs.backends.cosmos.generator import CosmosGenerator
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.media.encode import write_video

WIDTH, HEIGHT, FPS = 64, 48, 30.0
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}{{ c['text'] }}{% endfor %}\n{% endfor %}"
)


def generator(tmp_path: Path, **settings: Any) -> CosmosGenerator:
    return CosmosGenerator(CosmosSettings(size="tiny", **({"steps": 2} | settings)), None, tmp_path)


def request(
    folder: Path, sample: str, *, prompt: str = "lift", seed: int = 3, frames: int = 13, clip: Path | None = None
) -> GenerateRequest:
    out = folder / sample
    out.mkdir(parents=True)
    if clip is None:
        clip = out / "clip.mp4"
        write_video(clip, images(5, WIDTH, HEIGHT), FPS)
    return GenerateRequest(sample, prompt, seed, clip, {}, FPS, frames, WIDTH, HEIGHT, out)


def results(
    made: CosmosGenerator,
    requests: Sequence[GenerateRequest],
    started: Started = lambda _sample: None,
    into: dict[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Bytes of the videos by sample; `into` has those that came before an exception."""
    into = {} if into is None else into
    for item in made.process(requests, started):
        into[item.sample] = item.video.read_bytes()
    return into


def write_weights(folder: Path, text_encoder: bool = True) -> Path:
    """What a hub folder holds, tiny: 2 layers of 32 channels in the text encoder make the 64 of its embeddings."""
    from leicos_jobs.backends.cosmos import models

    denoiser, vae = models.tiny()
    denoiser.save_pretrained(str(folder / "transformer"))
    vae.save_pretrained(str(folder / "vae"))
    if text_encoder:
        write_text_encoder(folder)
    return folder


def write_text_encoder(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    text = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
        "intermediate_size": 32, "vocab_size": 300,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "num_heads": 2, "intermediate_size": 16, "out_hidden_size": 32}
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(str(folder / "text_encoder"))
    alphabet = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="!", chat_template=TEMPLATE)
    fast.save_pretrained(str(folder / "tokenizer"))
