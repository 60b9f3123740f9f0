"""convert and cosmos-dataset, as stages of a run: recordings in, `dataset/` and the generator's training folder out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout
from leicos_jobs.formats.cosmos import prompt_for, trains, write_post_training
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_v21 import EncodeSettings, video_file
from leicos_jobs.robots.embodiment import embodiment
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.stages import context
from leicos_jobs.stages.convert import ConvertOptions, convert
from leicos_jobs.stages.sources import fetch_source
from leicos_jobs.stages.start import needs_post_training
from leicos_jobs.stages.whole import fetch_folder, needed, whole_stage

CONVERT_VERSION = 1
COSMOS_VERSION = 1


def convert_run(run: Run) -> StageRecord:
    """Run the convert stage. Raises InputError if no demo is left."""
    source, time, video = run.config.source, run.config.time, run.config.video

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            files = [fetch_source(item, run, Path(name)) for item in source.files]
            options = ConvertOptions(
                embodiment=embodiment(source.robot),
                cameras=(source.camera,),
                task=source.task,
                control_hz=time.control_hz,
                time=TimeBase(time.stride, time.row_for_row, time.drop_rows),
                encode=EncodeSettings(video.crf, video.preset, video.gop),
                strict=source.strict,
            )
            report = convert(files, folder, options, names=source.files)
        facts: dict[str, Any] = report.model_dump(mode="json")
        return facts

    settings = {
        "source": source.model_dump(mode="json", exclude={"strict"}),
        "time": time.model_dump(mode="json"),
        "video": video.model_dump(mode="json"),
    }
    return whole_stage(
        run,
        "convert",
        version=CONVERT_VERSION,
        settings=settings,
        inputs={},
        prefix=layout.DATASET,
        build=build,
        last=str(lerobot_layout.INFO),
    )


def cosmos_dataset(run: Run) -> StageRecord:
    """Run the cosmos-dataset stage. Clips of 93 frames or fewer are left out and counted; none left is exit 78,
    unless the generator is not trained at all."""
    dataset = needed(run, "convert")
    prompt = prompt_for(run.config.source.task, use_prompt=run.config.prompt.use_prompt, form=run.config.prompt.form)

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            root = fetch_folder(run, layout.DATASET, Path(name))
            items = context.episodes(run)
            usable = [item for item in items if trains(item.frames)]
            if not usable and not needs_post_training(run.config):
                return {"videos": 0, "too_short": len(items)}
            if not usable:
                raise InputError(
                    f"all {len(items)} demos have 93 frames or fewer: Cosmos cannot post-train on them",
                    fix="record longer demos, or set time.row_for_row",
                )
            clips = ((root / video_file(item.episode_index, run.config.source.camera), prompt) for item in usable)
            count = write_post_training(folder, clips)
        return {"videos": count, "too_short": len(items) - count}

    return whole_stage(
        run,
        "cosmos-dataset",
        version=COSMOS_VERSION,
        settings={"prompt": prompt},
        inputs={"dataset": dataset.digest()},
        prefix=layout.COSMOS_DATASET,
        build=build,
    )
