"""Seconds per video of `generate: cosmos`, from clip to written mp4, against diffusers' own eager pipeline.

    python benchmarks/cosmos_video.py --size 2b                    one GPU, random weights of the real shapes
    python benchmarks/cosmos_video.py --size tiny --steps 2 --width 64 --height 48 --frames 13   a trial on a CPU

Both sides make the same videos in one process: the peer first, then ours. The first video of each side warms up and is
not counted. Random weights: time does not depend on their values, apart from the text encoder, which is left out of
both sides. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan

from leicos_jobs.backends.cosmos import images, models, pipeline
from leicos_jobs.backends.cosmos.generator import CosmosGenerator
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video

PROMPT, FPS = "Lift_the_red_cube_up", 30.0


def random_weights(size: str, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """Denoiser and VAE with small random weights, made on the device."""
    if size == "tiny":
        return models.tiny()
    torch.manual_seed(0)
    denoiser = models.empty_denoiser(size).to_empty(device=device).to(dtype)
    for parameter in denoiser.parameters():
        torch.nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.02)  # norms scale by about 1
    with device:
        vae = AutoencoderKLWan().to(dtype)
    return denoiser, vae


class Prepared(pipeline.VideoModel):
    """The backend's model with random weights and embeddings in the place of the files'."""

    def _load(self, checkpoint: Path | None) -> tuple[Any, Any, None]:
        denoiser, vae = random_weights(self.settings.size, self.device, self.dtype)
        return denoiser.to(self.device, self.dtype), vae.to(self.device, self.dtype), None


def embed(texts: Any, size: str) -> list[torch.Tensor]:
    channels = models.DENOISERS[size]["crossattn_proj_in_channels"]
    return [torch.randn(1, 512, channels, generator=torch.Generator().manual_seed(len(text))) for text in texts]


def requests(args: argparse.Namespace, folder: Path, side: str) -> list[GenerateRequest]:
    clip = folder / "clip.mp4"
    ramp = np.linspace(0, 255, args.width)[None, :, None] * np.ones((args.height, 1, 3))
    write_video(clip, [np.roll(ramp, 4 * index, axis=1).astype(np.uint8) for index in range(5)], FPS)
    made = []
    for number in range(args.videos + 1):
        out = folder / f"{side}{number}"
        out.mkdir()
        request = GenerateRequest(str(number), PROMPT, number, clip, {}, FPS, args.frames, args.width, args.height, out)
        made.append(request)
    return made


def by_peer(model: pipeline.VideoModel, todo: list[GenerateRequest]) -> Iterator[float]:
    """diffusers' pipeline as its documentation calls it, eager, then the same encoder. Yields when each is written."""
    settings, pipe = model.settings, model.pipe
    prompt, negative = (model.prompts.embedding(text) for text in (PROMPT, settings.negative_prompt))
    for request in todo:
        result = pipe(
            video=images.fit(read_all(request.clip), request.width, request.height), height=request.height,
            width=request.width, num_frames=settings.native.frames, num_inference_steps=settings.steps,
            guidance_scale=settings.guidance, generator=torch.Generator().manual_seed(request.seed), output_type="np",
            prompt_embeds=prompt.to(model.device, model.dtype),
            negative_prompt_embeds=negative.to(model.device, model.dtype),
        )  # fmt: skip
        frames = (np.asarray(result.frames[0])[: request.frames] * 255).round().astype(np.uint8)
        write_video(request.out_dir / "video.mp4", frames, request.fps)
        yield time.monotonic()


def by_us(model: pipeline.VideoModel, todo: list[GenerateRequest], work: Path) -> Iterator[float]:
    generator = CosmosGenerator.__new__(CosmosGenerator)
    generator.settings, generator.work, generator.model = model.settings, work, model
    generator._trained = False
    for _ in generator.process(todo, lambda _sample: None):
        yield time.monotonic()


def spacing(times: list[float]) -> list[float]:
    """Seconds of each video after the first."""
    return [round(after - before, 3) for before, after in pairwise(times)]


def side(name: str, args: argparse.Namespace, folder: Path) -> list[float]:
    settings = CosmosSettings(size=args.size, steps=args.steps, compile=name == "leicos" and not args.eager)
    model = Prepared(settings)
    cast = model.dtype
    model.prompts = pipeline.Prompts(lambda texts: [item.to(cast) for item in embed(texts, args.size)])
    model.prepare([PROMPT])
    todo = requests(args, folder, name)
    return spacing(list(by_us(model, todo, folder) if name == "leicos" else by_peer(model, todo)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["2b", "14b", "tiny"], default="2b")
    parser.add_argument("--steps", type=int, default=35)
    parser.add_argument("--frames", type=int, default=93, help="one chunk at most: the peer makes one")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--videos", type=int, default=3, help="counted ones per side")
    parser.add_argument("--eager", action="store_true", help="do not compile ours")
    args = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "cosmos_video"} | vars(args)
    with tempfile.TemporaryDirectory() as name:
        for who in ("diffusers", "leicos"):
            seconds = side(who, args, Path(name))
            result[who] = {"seconds": seconds, "median": float(np.median(seconds))}
    result["ratio"] = round(result["diffusers"]["median"] / result["leicos"]["median"], 3)
    result["machine"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    result["torch"] = torch.__version__
    print(json.dumps(result))


if __name__ == "__main__":
    main()
