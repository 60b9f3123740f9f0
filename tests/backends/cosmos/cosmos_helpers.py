"""Clips, requests and settings for the tests of generate/cosmos-predict2.5."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from helpers.generate_worker import FPS, FRAMES, HEIGHT, WIDTH, write_clip

from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest

FAKE = Path(__file__).parent / "fake_checkout"


def fake_settings(**more: Any) -> CosmosSettings:
    """Settings that lead to the fake upstream, run by our own Python."""
    return CosmosSettings(checkout=str(FAKE), python=sys.executable, **more)


def requests(folder: Path, prompts: list[str], frames: int = FRAMES) -> list[GenerateRequest]:
    """One request a prompt; sample ids are 20 digits, their number in the list at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = write_clip(folder / "clip.mp4")
    found = []
    for number, prompt in enumerate(prompts):
        sample = f"{number:020d}"
        out = folder / sample
        out.mkdir()
        found.append(
            GenerateRequest(
                sample=sample, prompt=prompt, seed=21 + number, clip=clip, start={}, fps=FPS, frames=frames,
                width=WIDTH, height=HEIGHT, out_dir=out,
            )
        )  # fmt: skip
    return found
