"""cosmos-dataset: the generator's post-training folder, from the run's dataset."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import COSMOS_DATASET
from leicos_jobs.formats.cosmos import write_post_training
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.run import episodes, identity
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.work.whole import whole_stage


def cosmos_dataset(run: Run) -> StageRecord:
    """Run the cosmos-dataset stage. Clips of 93 frames or fewer are left out and counted; none left is exit 78,
    unless the generator is not trained at all."""
    results = Results(run)
    dataset, camera = results.needed("convert"), run.config.source.camera

    def build(folder: Path) -> dict[str, Any]:
        items = episodes.read(run, results)
        usable = episodes.of_clips(items)
        if not usable and not identity.is_trained(run.config):
            return {"videos": 0, "too_short": len(items)}
        if not usable:
            raise InputError(
                f"all {len(items)} demos have 93 frames or fewer: Cosmos cannot post-train on them",
                fix="record longer demos, or set time.row_for_row",
            )
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            root = fetch_folder(run, dataset, Path(name), "videos/")
            prompts = [identity.prompt_of(run.config, item.task) for item in usable]
            videos = [root / video_file(item.episode_index, camera) for item in usable]
            count = write_post_training(folder, zip(videos, prompts, strict=True))
        return {"videos": count, "too_short": len(items) - count}

    return whole_stage(results, COSMOS_DATASET, build)
