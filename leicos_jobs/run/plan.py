"""Which samples a run makes: demos x row0 x seeds, each with its identity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import PlanLine
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
        sides=sides,
        spacing=backend.seeds_per_sample(settings, config.generate.frames),
        generator=identity.generate_identity(config, checkpoint),
    )
    if (lines := backend.lines(settings)) is not None:
        return [_from_line(making, items, line) for line in lines]
    samples = []
    for side, count in (("train", config.plan.samples - held), ("held_out", held)):
        for number in range(count):
            samples.append(_variant(making, groups[side][number % len(groups[side])], number // len(groups[side])))
    return samples


@dataclass(frozen=True)
class _Making:
    """What all samples of a plan share. sides: of the split, by episode. spacing: between seeds of one start.
    generator: its identity."""

    config: RunConfig
    sides: Mapping[int, Side]
    spacing: int
    generator: dict[str, Any]


@dataclass(frozen=True)
class _Wanted:
    """One video. row0: -1 for the demo's first row. task: text; None for the demo's own."""

    row0: int
    seed: int
    frames: int
    task: str | None
    outside: dict[str, str]


def _variant(making: _Making, item: Episode, variant: int) -> Sample:
    """The n-th sample of a demo: all rows first, then all prompts, then the next seed."""
    plan, frames = making.config.plan, making.config.generate.frames
    rest, row = divmod(variant, len(plan.row0))
    turn, prompt = divmod(rest, max(1, len(plan.prompts)))
    seed = spaced_seed(plan.first_seed, turn, making.spacing)
    task = plan.prompts[prompt] if plan.prompts else None
    return _sample(making, item, _Wanted(plan.row0[row], seed, frames, task, {}))


def _from_line(making: _Making, items: Sequence[Episode], line: PlanLine) -> Sample:
    """The sample that a generator names. Raises InputError that names its line."""
    found = [item for item in items if item.demo == line.demo and item.file.endswith(line.source)]
    if not found:
        named = f"{line.demo} of {line.source}" if line.source else line.demo
        raise InputError(
            f"{line.where}: there is no demo {named} in the dataset",
            fix="name a demo that convert takes; `leicos inspect` lists them, and why others are left out",
        )
    if len({item.demo_sha256 for item in found}) > 1:
        files = ", ".join(item.file for item in found)
        raise InputError(f"{line.where}: several files have a {line.demo}: {files}", fix='add "source": the file name')
    row0 = -1 if line.row0 is None else line.row0
    wanted = _Wanted(row0, line.seed, line.frames, line.task, line.outside)
    try:
        return _sample(making, found[0], wanted)
    except InputError as error:
        raise InputError(f"{line.where}: {error.message}", fix=error.fix) from None


def _sample(making: _Making, item: Episode, wanted: _Wanted) -> Sample:
    config = making.config
    row0 = item.first_row if wanted.row0 < 0 else wanted.row0
    if row0 not in item.rows()[: item.frames - CONDITIONING + 1]:
        raise InputError(
            f"plan.row0: row {row0} of {item.demo} cannot start a video",
            fix=f"use rows {item.row(0)}, {item.row(1)}, ... of the demo, or -1 for the first",
        )
    clip = {"conditioning": CONDITIONING, "crf": CLIP_CRF}
    start = identity.start_identity(item.demo_sha256, row0, item.control_hz, item.stride, config.source.camera, clip)
    task = wanted.task or item.task or config.source.task or ""
    prompt = identity.prompt_of(config, task)
    determinants = {
        "start": start,
        "prompt": prompt,
        "seed": wanted.seed,
        "frames": wanted.frames,
        "generate": making.generator,
    }
    if wanted.outside:
        determinants["outside"] = wanted.outside
    return Sample(
        id=sample_id(determinants),
        demo=item.demo,
        demo_sha256=item.demo_sha256,
        episode=item.episode_index,
        split=making.sides[item.episode_index],
        row0=row0,
        frames=wanted.frames,
        prompt=prompt,
        seed=wanted.seed,
        start=start,
        task=task,
        states=item.states,
        outside=wanted.outside,
    )
