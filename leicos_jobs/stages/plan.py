"""plan: demos x row0 x seeds -> samples, each with its conditioning clip, start state and identity.

The clip shows rows row0 ... row0 + 4 * stride: video2world conditions on the LAST five frames of what it is given and
its output begins with them, so output frame 0 is row0 (reference/cosmos.md 1.7). Giving it the whole demo, as the
tutorial's helper does, would continue from the demo's end.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends import registry
from leicos_jobs.core import signals
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import BatchLine, prompt_for, spaced_seed
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording
from leicos_jobs.media.encode import write_video
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample, dump_lines, sample_id
from leicos_jobs.stages import context
from leicos_jobs.stages.context import Episode
from leicos_jobs.stages.sources import fetch_source
from leicos_jobs.stages.whole import needed, whole_stage

VERSION = 1
CONDITIONING = 5
"""Frames of a clip: what video2world conditions on."""
CLIP_CRF = 8
"""Nearly lossless: the generator should see the demo, not a codec."""


def plan(run: Run) -> StageRecord:
    """Run the stage."""
    dataset = needed(run, "convert")
    inputs = {"dataset": dataset.digest()}
    checkpoint = context.checkpoint_digest(run)
    config = run.config
    settings = {
        "plan": config.plan.model_dump(mode="json", exclude={"samples_per_shard", "min_shards", "max_shards"}),
        "split": config.split.model_dump(mode="json"),
        "prompt": config.prompt.model_dump(mode="json"),
        "task": config.source.task,
        "generate": generate_identity(config, checkpoint),
    }

    def build(folder: Path) -> dict[str, Any]:
        samples = make_samples(context.episodes(run), config, checkpoint)
        write_starts(run, samples, folder)
        (folder / "batch.jsonl").write_text("".join(batch_line(sample, config).line() for sample in samples))
        (folder / "samples.jsonl").write_bytes(dump_lines(samples))
        held = sum(sample.split == "held_out" for sample in samples)
        return {"samples": len(samples), "held_out": held, "demos": len({sample.episode for sample in samples})}

    return whole_stage(
        run,
        "plan",
        version=VERSION,
        settings=settings,
        inputs=inputs,
        prefix="plan",
        build=build,
        last="samples.jsonl",
        keep=("plan/rounds/",),
    )


def generate_identity(config: RunConfig, checkpoint: str | None) -> dict[str, Any]:
    """All generation settings that determine a video."""
    backend = context.generator_identity(config)
    geometry = {"width": config.generate.width, "height": config.generate.height}
    return backend | geometry | {"checkpoint": checkpoint}


def make_samples(items: Sequence[Episode], config: RunConfig, checkpoint: str | None) -> list[Sample]:
    """Choose the samples: evenly over the demos of each side of the split, held-out ones at least their share."""
    sides = context.split(items, config)
    groups: dict[str, list[Episode]] = defaultdict(list)
    for item in items:
        groups[sides[item.episode_index]].append(item)
    held = math.ceil(config.plan.samples * config.plan.held_out_share) if groups["held_out"] else 0
    if not groups["train"]:
        held = config.plan.samples
    backend = registry.load("generate", config.generate.backend)
    spacing = int(
        getattr(backend, "seeds_a_sample", lambda _settings, _frames: 1)(
            context.backend_settings("generate", config.generate.backend, config.generate.settings),
            config.generate.frames,
        )
    )
    identity = generate_identity(config, checkpoint)
    samples = []
    for side, count in (("train", config.plan.samples - held), ("held_out", held)):
        for number in range(count):
            item = groups[side][number % len(groups[side])]
            samples.append(_sample(item, number // len(groups[side]), side, config, spacing, identity))
    return samples


def _sample(
    item: Episode, variant: int, side: str, config: RunConfig, spacing: int, identity: dict[str, Any]
) -> Sample:
    choices = config.plan.row0
    row0 = choices[variant % len(choices)]
    row0 = item.first_row if row0 < 0 else row0
    last = item.first_row + (item.frames - 1) * item.stride
    if not item.first_row <= row0 <= last - (CONDITIONING - 1) * item.stride or (row0 - item.first_row) % item.stride:
        raise InputError(
            f"plan.row0: row {row0} of {item.demo} cannot start a video",
            fix=f"use rows {item.first_row}, {item.first_row + item.stride}, ... of the demo, or -1 for the first",
        )
    seed = spaced_seed(config.plan.first_seed, variant // len(choices), spacing)
    prompt = prompt_for(config.source.task, use_prompt=config.prompt.use_prompt, form=config.prompt.form)
    origin = {
        "source": item.file_sha256,
        "demo": item.demo,
        "row0": row0,
        "control_hz": item.control_hz,
        "stride": item.stride,
        "camera": config.source.camera,
    }
    facts = origin | {"prompt": prompt, "seed": seed, "frames": config.generate.frames, "generate": identity}
    short = digest_of(origin | {"conditioning": CONDITIONING, "crf": CLIP_CRF}, 48)
    return Sample(
        id=sample_id(facts),
        demo=item.demo,
        file_sha256=item.file_sha256,
        episode=item.episode_index,
        split="held_out" if side == "held_out" else "train",
        row0=row0,
        frames=config.generate.frames,
        prompt=prompt,
        seed=seed,
        clip=layout.clip(item.demo, row0, short),
        start=layout.start(item.demo, row0, short),
    )


def batch_line(sample: Sample, config: RunConfig) -> BatchLine:
    """The sample as Cosmos-Predict2.5's batch inference wants it; paths are relative to the file, as upstream reads
    them. The tutorial's values unless the configuration says otherwise."""
    chosen = {name: value for name, value in config.generate.settings.items() if name in BatchLine.model_fields}
    return BatchLine.model_validate(
        {
            "name": sample.id,
            "prompt": sample.prompt,
            "seed": sample.seed,
            "resolution": f"{config.generate.height},{config.generate.width}",
            "num_output_frames": sample.frames,
            "input_path": Path(sample.clip).relative_to("plan").as_posix(),
        }
        | chosen
    )


def write_starts(run: Run, samples: Sequence[Sample], folder: Path) -> None:
    """Write the clip and the start state of every (demo, row0) once, demo by demo."""
    items = {item.episode_index: item for item in context.episodes(run)}
    wanted = {sample.clip: sample for sample in samples}
    by_file: dict[str, list[Sample]] = defaultdict(list)
    for sample in wanted.values():
        by_file[items[sample.episode].file].append(sample)
    (folder / "clips").mkdir(parents=True)
    camera = run.config.source.camera
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        for name, group in by_file.items():
            with Recording(fetch_source(name, run, Path(scratch))) as recording:
                for sample in group:
                    signals.check()
                    _write_start(recording.demo(sample.demo, (camera,)), sample, items[sample.episode], camera, folder)


def _write_start(demo: Demo, sample: Sample, item: Episode, camera: str, folder: Path) -> None:
    rows = [sample.row0 + index * item.stride for index in range(CONDITIONING)]
    clip = folder / Path(sample.clip).relative_to("plan")
    write_video(clip, demo.frames(camera, rows), item.fps, crf=CLIP_CRF, gop=1)
    start = demo.state_at(sample.row0)
    driven = demo.actions[sample.row0 : rows[-1]]
    start["conditioning/actions"] = [float(value) for value in np.ravel(driven)]
    (folder / Path(sample.start).relative_to("plan")).write_text(json.dumps(start))
