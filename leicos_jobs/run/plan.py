"""Which samples a run makes: demos x row0 x seeds, each with its identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import CONDITIONING_FRAMES, spaced_seed
from leicos_jobs.run import identity
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode, Side, split
from leicos_jobs.run.samples import Sample, sample_id

CONDITIONING = CONDITIONING_FRAMES["video2world"]
"""Frames of a clip: what video2world conditions on."""
CLIP_CRF = 8
"""Nearly lossless: the generator should see the demo, not a codec."""


def make_samples(items: Sequence[Episode], config: RunConfig, checkpoint: str | None) -> list[Sample]:
    """Choose the samples: evenly over the demos of each side of the split, held-out ones at least their share."""
    sides = split(items, config)
    groups: dict[str, list[Episode]] = {"train": [], "held_out": []}
    for item in {item.demo_sha256: item for item in reversed(items)}.values():  # a demo that is there twice counts once
        groups[sides[item.episode_index]].append(item)
    groups = {side: sorted(group, key=lambda item: item.episode_index) for side, group in groups.items()}
    held = math.ceil(config.plan.samples * config.plan.held_out_share) if groups["held_out"] else 0
    if not groups["train"]:
        held = config.plan.samples
    backend = registry.load("generate", config.generate.backend)
    settings = registry.settings("generate", config.generate.backend, config.generate.settings)
    making = _Making(
        config=config,
        spacing=backend.seeds_per_sample(settings, config.generate.frames),
        generator=identity.generate_identity(config, checkpoint),
        outside=partial(backend.outside, settings),
    )
    samples = []
    for side, count in (("train", config.plan.samples - held), ("held_out", held)):
        for number in range(count):
            item = groups[side][number % len(groups[side])]
            samples.append(_sample(making, item, number // len(groups[side]), sides[item.episode_index]))
    return samples


@dataclass(frozen=True)
class _Making:
    """What all samples of a plan share. spacing: between seeds of one start. generator: its identity. outside: see
    `Generator.outside`."""

    config: RunConfig
    spacing: int
    generator: dict[str, Any]
    outside: Callable[[str, int, int], dict[str, str]]


def _sample(making: _Making, item: Episode, variant: int, side: Side) -> Sample:
    config = making.config
    choices = config.plan.row0
    row0 = choices[variant % len(choices)]
    row0 = item.first_row if row0 < 0 else row0
    if row0 not in item.rows()[: item.frames - CONDITIONING + 1]:
        raise InputError(
            f"plan.row0: row {row0} of {item.demo} cannot start a video",
            fix=f"use rows {item.row(0)}, {item.row(1)}, ... of the demo, or -1 for the first",
        )
    seed = spaced_seed(config.plan.first_seed, variant // len(choices), making.spacing)
    clip = {"conditioning": CONDITIONING, "crf": CLIP_CRF}
    start = identity.start_identity(item.demo_sha256, row0, item.control_hz, item.stride, config.source.camera, clip)
    task = item.task or config.source.task or ""
    prompt = identity.prompt_of(config, task)
    determinants = {
        "start": start,
        "prompt": prompt,
        "seed": seed,
        "frames": config.generate.frames,
        "generate": making.generator,
    }
    if outside := making.outside(item.demo, row0, seed):
        determinants["outside"] = outside
    return Sample(
        id=sample_id(determinants),
        demo=item.demo,
        demo_sha256=item.demo_sha256,
        episode=item.episode_index,
        split=side,
        row0=row0,
        frames=config.generate.frames,
        prompt=prompt,
        seed=seed,
        start=start,
        task=task,
        states=item.states,
        outside=outside,
    )
