"""post-train: the generator's checkpoint, trained on `cosmos/dataset/` or taken over from `generate.checkpoint`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import PostTrainRequest
from leicos_jobs.core import logs
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord, make_key
from leicos_jobs.run.opened import Run
from leicos_jobs.work.artifacts import artifact_digest, import_artifact
from leicos_jobs.work.resume import ResumeFolder, forget, reporter
from leicos_jobs.work.whole import fetch_folder, needed, whole_stage

VERSION = 1


def post_train(run: Run) -> StageRecord | None:
    """Run the stage; nothing to do for a generator that is not trained."""
    config = run.config.generate
    if not registry.load("generate", config.backend).trained:
        logs.event("post-train.not_needed", backend=config.backend)
        return None
    dataset = needed(run, "cosmos-dataset")
    settings = {
        "backend": _identity(run),
        "checkpoint": config.checkpoint,
        "geometry": [config.width, config.height],
    }
    inputs = {"dataset": dataset.digest()}
    key = make_key("post-train", VERSION, settings, inputs)

    def build(folder: Path) -> dict[str, Any]:
        if config.checkpoint:
            import_artifact(config.checkpoint, folder)
            return {"imported": config.checkpoint, "artifact": artifact_digest(folder)}
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            facts = _train(run, folder, Path(name), key)
        return facts | {"artifact": artifact_digest(folder)}

    record = whole_stage(
        run,
        "post-train",
        version=VERSION,
        settings=settings,
        inputs=inputs,
        prefix=layout.COSMOS_CHECKPOINT,
        build=build,
    )
    forget(run, "post-train", key)
    return record


def _identity(run: Run) -> dict[str, Any]:
    """What determines the checkpoint; generation settings such as guidance do not."""
    config = run.config.generate
    trainer = registry.load("post_train", config.backend)
    return trainer.identity(registry.settings("post_train", config.backend, config.settings))


def _train(run: Run, folder: Path, scratch: Path, key: str) -> dict[str, Any]:
    config = run.config.generate
    resume = ResumeFolder(run, layout.resume("post-train", key), scratch / "resume")
    settings = registry.settings("post_train", config.backend, config.settings)
    trainer = registry.load("post_train", config.backend)(settings, scratch)
    request = PostTrainRequest(
        dataset=fetch_folder(run, layout.COSMOS_DATASET, scratch),
        size=(config.width, config.height),
        seed=run.config.plan.first_seed,
        out=folder,
        resume=resume.folder,
        report=reporter("post-train", resume.sync),
    )
    return trainer.train(request).facts()
