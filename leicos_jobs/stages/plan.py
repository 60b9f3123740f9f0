"""plan: demos x row0 x seeds -> samples, each with its conditioning clip, start state and identity.

The clip shows rows row0 ... row0 + 4 * stride: video2world conditions on the LAST five frames of what it is given and
its output begins with them, so output frame 0 is row0 (docs/decisions/cosmos.md 2). Giving it the whole demo, as the
tutorial's helper does, would continue from the demo's end.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.core import signals
from leicos_jobs.formats.cosmos import BatchLine
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording
from leicos_jobs.media.encode import write_video
from leicos_jobs.run import episodes, identity
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.plan import CLIP_CRF, CONDITIONING, make_samples
from leicos_jobs.run.samples import Sample, dump_lines
from leicos_jobs.work.sources import fetch_source
from leicos_jobs.work.whole import needed, whole_stage

VERSION = 1


def plan(run: Run) -> StageRecord:
    """Run the stage."""
    dataset = needed(run, "convert")
    inputs = {"dataset": dataset.digest()}
    checkpoint = identity.checkpoint_digest(run)
    config = run.config
    settings = {
        "plan": config.plan.model_dump(mode="json", exclude={"samples_per_shard", "min_shards", "max_shards"}),
        "split": config.split.model_dump(mode="json"),
        "prompt": config.prompt.model_dump(mode="json"),
        "task": config.source.task,
        "generate": identity.generate_identity(config, checkpoint),
    }

    def build(folder: Path) -> dict[str, Any]:
        samples = make_samples(episodes.read(run), config, checkpoint)
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
    items = {item.episode_index: item for item in episodes.read(run)}
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
