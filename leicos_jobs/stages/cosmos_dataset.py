"""cosmos-dataset: the generator's post-training folder, from the run's `dataset/`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import prompt_for, trains, write_post_training
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.run import episodes, layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.stages.start import needs_post_training
from leicos_jobs.work.whole import fetch_folder, needed, whole_stage

VERSION = 1


def cosmos_dataset(run: Run) -> StageRecord:
    """Run the cosmos-dataset stage. Clips of 93 frames or fewer are left out and counted; none left is exit 78,
    unless the generator is not trained at all."""
    dataset = needed(run, "convert")
    prompt = prompt_for(run.config.source.task, use_prompt=run.config.prompt.use_prompt, form=run.config.prompt.form)

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            root = fetch_folder(run, layout.DATASET, Path(name))
            items = episodes.read(run)
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
        version=VERSION,
        settings={"prompt": prompt},
        inputs={"dataset": dataset.digest()},
        prefix=layout.COSMOS_DATASET,
        build=build,
    )
