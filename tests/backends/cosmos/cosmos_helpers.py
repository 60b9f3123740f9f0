"""Clips, requests and settings for the tests of generate/cosmos-predict2.5."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.media.encode import write_video

FAKE = Path(__file__).parent / "fake_checkout"
WIDTH, HEIGHT, FRAMES, FPS = 64, 48, 100, 30.0


def fake_settings(**more: Any) -> CosmosSettings:
    """Settings that lead to the fake upstream, run by our own Python."""
    return CosmosSettings(checkout=str(FAKE), python=sys.executable, **more)


def write_clip(path: Path) -> Path:
    images = [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(5)]
    write_video(path, images, FPS)
    return path


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


def read_journal(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
