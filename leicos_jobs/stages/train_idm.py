"""train-idm: the inverse dynamics model, trained on `dataset/` only, or taken over from `idm.checkpoint`.

The artifact is one folder with one digest. The demos that it never saw are labelled right away: labels on real video
separate the IDM's error from the generator's, and need no truth.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import LabelRequest, TrainRequest
from leicos_jobs.core import signals
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import TRAIN_IDM
from leicos_jobs.formats.action_tables import write_table
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.run import episodes, layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.stages.label import label_seed
from leicos_jobs.work.artifacts import HELD_OUT, artifact_digest, check_dataset, check_geometry, import_artifact
from leicos_jobs.work.resume import ResumeFolder, forget, reporter
from leicos_jobs.work.whole import resume_key, whole_stage


def train_idm(run: Run) -> StageRecord:
    """Run the stage."""
    results = Results(run)
    results.needed("convert")

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            return _build(results, folder, Path(name))

    record = whole_stage(results, TRAIN_IDM, build)
    forget(run, "train-idm", record.key)
    return record


def _build(results: Results, folder: Path, scratch: Path) -> dict[str, Any]:
    run = results.run
    dataset = fetch_folder(run, results.needed("convert"), scratch)
    sides = episodes.split(episodes.read(run, results), run.config)
    held = sorted(index for index, side in sides.items() if side == "held_out")
    train = sorted(index for index, side in sides.items() if side == "train")
    if run.config.idm.checkpoint:
        import_artifact(run, run.config.idm.checkpoint, folder)
        facts: dict[str, Any] = {"imported": run.config.idm.checkpoint}
        check_geometry(folder, run.config.generate)
    else:
        check_dataset(dataset, run.config.source.camera, run.config.generate)
        facts = _train(results, dataset, train, folder, scratch)
    digest = artifact_digest(folder)
    _label_held_out(run, dataset, held, folder, scratch)
    return facts | {"artifact": digest, "train": train, "held_out": held}


def _train(results: Results, dataset: Path, train: list[int], folder: Path, scratch: Path) -> dict[str, Any]:
    run, config = results.run, results.run.config.idm
    backend = registry.load("train", config.backend)
    trainer = backend(registry.settings("train", config.backend, config.settings), scratch)
    resume = ResumeFolder(run, layout.resume("train-idm", resume_key(results, "train-idm")), scratch / "resume")
    request = TrainRequest(
        dataset=dataset,
        robot=run.robot,
        camera=run.config.source.camera,
        train=train,
        seed=config.seed,
        out=folder,
        resume=resume.folder,
        report=reporter("train-idm", resume.sync),
    )
    return trainer.train(request).facts()


def _label_held_out(run: Run, dataset: Path, held: list[int], artifact: Path, scratch: Path) -> None:
    """Label the real videos of the held-out demos; tables lie under `held_out/` beside the artifact's files."""
    config = run.config
    backend = registry.load("label", config.idm.backend)
    settings = registry.settings("label", config.idm.backend, config.label.settings)
    labeller = backend(settings=settings, artifact=artifact, work=scratch)
    requests = []
    for index in held:
        video = dataset / video_file(index, config.source.camera)
        if not video.is_file():
            raise InputError(f"{video} is missing", fix="run `leicos convert` again")
        requests.append(LabelRequest(str(index), video, label_seed(config.idm.seed, sha256_file(video))))
    out = artifact / HELD_OUT
    out.mkdir()
    with closing(labeller):
        for result in labeller.process(requests, lambda _sample: signals.check()):
            meta = {"episode": int(result.sample)}
            write_table(out / f"episode_{int(result.sample):06d}.parquet", {"action": result.actions}, meta)
