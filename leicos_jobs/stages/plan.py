"""plan: demos x row0 x seeds -> samples, each with its conditioning clip, start state and identity.

The clip shows rows row0 ... row0 + 4 * stride: video2world conditions on the LAST five frames of what it is given and
its output begins with them, so output frame 0 is row0 (docs/decisions/cosmos.md 2). Giving it the whole demo, as the
tutorial's helper does, would continue from the demo's end.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import CONDITIONING_ACTIONS
from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import PLAN
from leicos_jobs.formats.cosmos import BatchLine
from leicos_jobs.formats.sources import SourceDemo, open_source
from leicos_jobs.media.encode import write_video
from leicos_jobs.run import episodes, identity, layout, starts
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run
from leicos_jobs.run.plan import CLIP_CRF, CONDITIONING, make_samples
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample, dump_lines
from leicos_jobs.work.sources import fetch_source, require_demo
from leicos_jobs.work.whole import whole_stage


def plan(run: Run) -> StageRecord:
    """Run the stage. Raises InputError if a generator that must be trained is not."""
    results = Results(run)
    if identity.is_trained(run.config):
        results.needed("post-train")

    def build(folder: Path) -> dict[str, Any]:
        items = episodes.read(run, results)
        samples = make_samples(items, run.config, results.artifact("post-train"))
        switched_off = require_possible(run, samples)
        clips = write_starts(run, samples, items)
        lines = (batch_line(sample, run.config, clips[sample.start]).line() for sample in samples)
        (folder / layout.BATCH).write_text("".join(lines))
        (folder / layout.SAMPLES).write_bytes(dump_lines(samples))
        held = sum(sample.split == "held_out" for sample in samples)
        facts = {"samples": len(samples), "held_out": held, "demos": len({sample.episode for sample in samples})}
        return facts | ({"no_replay": switched_off} if switched_off else {})

    return whole_stage(results, PLAN, build)


def require_possible(run: Run, samples: Sequence[Sample]) -> dict[str, int]:
    """How many samples cannot be replayed, by reason. Raises InputError if the generator needs what the sources lack,
    or if success is required and nothing can be replayed."""
    config = run.config
    backend = registry.load("generate", config.generate.backend)
    if backend.needs_states and not all(sample.states for sample in samples):
        raise InputError(
            f"generate.backend: {backend.name} starts from the simulator's state, which the source does not hold",
            fix="choose another generator: cosmos, echo or import",
        )
    can = identity.no_replay(config, run.robot)
    reasons = Counter(reason for sample in samples if (reason := can[sample.states]))
    if config.curate.require_success and reasons.total() == len(samples):
        raise InputError(
            f"curate.require_success: no sample can be replayed: {', '.join(reasons)}",
            fix="set curate.require_success: false",
        )
    return dict(reasons)


def batch_line(sample: Sample, config: RunConfig, clip: str) -> BatchLine:
    """The sample as Cosmos-Predict2.5's batch inference wants it; paths are relative to the file, as upstream reads
    them. The tutorial's values unless settings of the backend that drives upstream say otherwise; those of another
    backend may have the same names and other ranges. clip: key in the run."""
    theirs = config.generate.settings if config.generate.backend == "cosmos-predict2.5" else {}
    chosen = {name: value for name, value in theirs.items() if name in BatchLine.model_fields}
    return BatchLine.model_validate(
        {
            "name": sample.id,
            "prompt": sample.prompt,
            "seed": sample.seed,
            "resolution": f"{config.generate.height},{config.generate.width}",
            "num_output_frames": sample.frames,
            "input_path": f"../../{clip}",
        }
        | chosen
    )


def write_starts(run: Run, samples: Sequence[Sample], items: Sequence[Episode]) -> dict[str, str]:
    """Commit the start of every (demo, row0) that has none yet, demo by demo; returns the clip's key by start."""
    by_index = {item.episode_index: item for item in items}
    clips: dict[str, str] = {}
    by_file: dict[str, list[Sample]] = defaultdict(list)
    for sample in {sample.start: sample for sample in samples}.values():
        if (start := starts.find(run, sample.start)) is not None:
            clips[sample.start] = layout.clip(sample.start, start.clip_sha256)
        else:
            by_file[by_index[sample.episode].file].append(sample)
    camera, images = run.config.source.camera, episodes.image_digests(run)
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch:
        for name, group in by_file.items():
            with open_source(fetch_source(name, run, Path(scratch)), run.robot, probed=True) as recording:
                for sample in group:
                    signals.check()
                    item = by_index[sample.episode]
                    demo = recording.demo(sample.demo, (camera,))
                    require_demo(demo, item)
                    start = _write_start(run, demo, sample, item, images[sample.episode], Path(scratch))
                    clips[sample.start] = layout.clip(sample.start, start.clip_sha256)
    return clips


def _write_start(
    run: Run, demo: SourceDemo, sample: Sample, item: Episode, images: list[str], scratch: Path
) -> starts.Start:
    first = item.frame(sample.row0)
    rows = [item.row(first + index) for index in range(CONDITIONING)]
    pictures = list(demo.pictures(run.config.source.camera, rows))
    if [digest for _, digest in pictures] != images[first : first + CONDITIONING]:
        raise InputError(
            f"{demo.file}: the images of {demo.name} are not those that were converted",
            fix="start the run again with --amend: the recording is then converted again",
        )
    clip = scratch / f"{sample.start}.mp4"
    write_video(clip, [image for image, _ in pictures], item.fps, crf=CLIP_CRF, gop=1)
    state = demo.state_at(sample.row0)
    driven = demo.actions[sample.row0 : rows[-1]]
    state[CONDITIONING_ACTIONS] = [float(value) for value in np.ravel(driven)]
    start = starts.commit(run, sample.start, clip, state)
    clip.unlink()
    return start
