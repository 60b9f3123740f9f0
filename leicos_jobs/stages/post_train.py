"""post-train: the generator's checkpoint, trained on `cosmos/dataset/` or taken over from `generate.checkpoint`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import PostTrainRequest
from leicos_jobs.core import logs
from leicos_jobs.core.stages import POST_TRAIN
from leicos_jobs.run import episodes, identity, layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.work.artifacts import artifact_digest, import_artifact
from leicos_jobs.work.resume import ResumeFolder, forget, reporter
from leicos_jobs.work.whole import resume_key, whole_stage

SEED = 21
"""Of every post-training. The plan's seeds are in no checkpoint's key, so they must not reach it."""


def post_train(run: Run) -> StageRecord | None:
    """Run the stage; nothing to do for a generator that is not trained."""
    results, config = Results(run), run.config.generate
    if not identity.is_trained(run.config):
        logs.event("post-train.not_needed", backend=config.backend)
        return None
    results.needed("cosmos-dataset")

    def build(folder: Path) -> dict[str, Any]:
        if config.checkpoint:
            import_artifact(run, config.checkpoint, folder)
            return {"imported": config.checkpoint, "artifact": artifact_digest(folder)}
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            facts = _train(results, folder, Path(name))
        return facts | {"artifact": artifact_digest(folder)}

    record = whole_stage(results, POST_TRAIN, build)
    forget(run, "post-train", record.key)
    return record


def _train(results: Results, folder: Path, scratch: Path) -> dict[str, Any]:
    run, config = results.run, results.run.config.generate
    resume = ResumeFolder(run, layout.resume("post-train", resume_key(results, "post-train")), scratch / "resume")
    settings = registry.settings("post_train", config.backend, config.settings)
    trainer = registry.load("post_train", config.backend)(settings, scratch)
    request = PostTrainRequest(
        dataset=fetch_folder(run, results.needed("cosmos-dataset"), scratch),
        size=(config.width, config.height),
        seed=SEED,
        out=folder,
        resume=resume.folder,
        report=reporter("post-train", resume.sync),
        held_out=_held_out(results) if trainer.holds_out else (),
    )
    return trainer.train(request).facts()


def _held_out(results: Results) -> tuple[int, ...]:
    """Numbers of the clips of demos that the split holds out."""
    items = episodes.read(results.run, results)
    sides = episodes.split(items, results.run.config)
    clips = enumerate(episodes.of_clips(items), start=1)
    return tuple(number for number, item in clips if sides[item.episode_index] == "held_out")
