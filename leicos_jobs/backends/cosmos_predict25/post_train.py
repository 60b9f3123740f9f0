"""Post-training on the run's own demos, resumable, and the export that makes a checkpoint of it.

torchrun in one pod trains; checkpoints are handed over as they appear. Then the newest one is converted to a .pt file,
loaded once by upstream itself (which only logs keys that do not fit), and described in artifact.json.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from typing_extensions import override

from leicos_jobs.backends.base import PostTrainer
from leicos_jobs.backends.cosmos_predict25 import checkpoints, command
from leicos_jobs.backends.cosmos_predict25.artifact import WEIGHTS, CosmosArtifact
from leicos_jobs.backends.cosmos_predict25.checkout import find_checkout
from leicos_jobs.backends.cosmos_predict25.jobs import UpstreamLoadError
from leicos_jobs.backends.cosmos_predict25.load_log import check_load_log
from leicos_jobs.backends.cosmos_predict25.resident import Resident, UnusableError
from leicos_jobs.backends.cosmos_predict25.settings import JOB_NAMES, UPSTREAM, CosmosSettings
from leicos_jobs.backends.requests import PostTrainRequest, TrainResult
from leicos_jobs.core import logs
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import DefectError, RetryError
from leicos_jobs.core.programs import Program
from leicos_jobs.formats.cosmos import read_post_training
from leicos_jobs.media.errors import VideoError

POLL_SECONDS = 1.0
_STEP = re.compile(r"\b(\d+) : iter_speed|\bIteration (\d+):")


class CosmosPostTrainer(PostTrainer[CosmosSettings], name="cosmos-predict2.5", version=1, upstream=UPSTREAM):
    """Post-trainer `cosmos-predict2.5`; its settings are the generator's."""

    def __init__(self, settings: CosmosSettings, work: Path) -> None:
        """Raises InputError if upstream is not here or another commit."""
        super().__init__(settings, work)
        self._checkout = find_checkout(settings)

    @override
    @classmethod
    def identity(cls, settings: CosmosSettings) -> dict[str, Any]:
        """Settings that determine the checkpoint: guidance or seeds of the generation do not."""
        kept = settings.model_dump(mode="json", exclude_defaults=True, include={"post_train", "commit"})
        return {name: value for name, value in kept.items() if value}

    @override
    def train(self, request: PostTrainRequest) -> TrainResult:
        """Train what is missing, export, check, publish into `request.out`.

        request.dataset: upstream's layout, videos/N.mp4 and metas/N.txt. Raises InputError (dataset, weights that do
        not fit), RetryError (it died after a new checkpoint: again goes on from there), DefectError.
        """
        begun = time.monotonic()
        prompts, videos = check_dataset(request.dataset, self.settings.post_train.frames)
        with tempfile.TemporaryDirectory(prefix="imaginaire-", dir=self.work) as name:
            root = Path(name)
            folder = command.checkpoints_folder(root, JOB_NAMES[self.settings.post_train.experiment])
            folder.mkdir(parents=True)
            resumed = checkpoints.restore(request.resume, folder)
            self._train(request, root, folder, resumed)
            last = checkpoints.latest(folder)
            if last is None or checkpoints.iteration_of(last.name) < self.settings.post_train.steps:
                raise DefectError(f"upstream ended its training early, at {last.name if last else 'no checkpoint'}")
            trained = time.monotonic()
            self._export(last, root, request.out)
        if self.settings.post_train.check_export:
            self._check_export(request.out)
        artifact = CosmosArtifact(
            upstream=self._checkout.commit or self.settings.commit,
            experiment=self.settings.post_train.experiment,
            sha256=sha256_file(request.out / WEIGHTS),
            steps=self.settings.post_train.steps,
            size=request.size,
            videos=videos,
            prompts=prompts,
        )
        artifact.write(request.out)
        seconds = {"train": round(trained - begun, 1), "export": round(time.monotonic() - trained, 1)}
        gpus = self.settings.post_train.gpus
        facts = artifact.model_dump(mode="json") | {"resumed_from": resumed, "seconds": seconds, "gpus": gpus}
        return TrainResult.model_validate(facts)

    def _train(self, request: PostTrainRequest, root: Path, folder: Path, done: int) -> None:
        train = self.settings.post_train
        if done >= train.steps:
            logs.event("cosmos.training_already_done", steps=done)
            return
        arguments = command.train_command(
            self._checkout.python, train, request.dataset.absolute(), request.size, request.seed
        )
        environment = self._checkout.environment(offline=self.settings.offline, IMAGINAIRE_OUTPUT_ROOT=str(root))
        logs.event("cosmos.training", resumed_from=done, steps=train.steps, gpus=train.gpus)
        process = Program(arguments, cwd=self._checkout.root, env=environment)
        try:
            self._watch(process, request, folder, done)
        finally:
            process.kill()

    def _watch(self, process: Program, request: PostTrainRequest, folder: Path, done: int) -> None:
        """Hand checkpoints over and report until the training ends. RetryError comes out of `report` on a stop."""
        kept, checked, step = done, False, done
        while True:
            code = process.wait(POLL_SECONDS)
            log = folder.parent / "debug.log"
            if not checked:
                what = "the base model of the post-training"
                checked = check_load_log(log, what, self.settings.tolerated_keys).found
            newest = checkpoints.latest(folder)
            if newest is not None and checkpoints.iteration_of(newest.name) > kept:
                checkpoints.hand_over(newest, request.resume)
                kept = checkpoints.iteration_of(newest.name)
                logs.event("cosmos.checkpoint", step=kept)
            step = max(step, kept, _last_step(process.tail()))
            request.report(min(step, self.settings.post_train.steps), self.settings.post_train.steps)
            if code is not None:
                break
        if code != 0:
            said = f"the post-training ended with exit code {code} after step {step}\n{process.tail()}"
            if kept > done:
                raise RetryError(said, fix="start again: it goes on from the last checkpoint")
            raise DefectError(said, fix="see upstream's last lines above; out of memory needs more or larger GPUs")

    def _export(self, checkpoint: Path, root: Path, out: Path) -> None:
        target = root / "export"
        target.mkdir()
        arguments = command.convert_command(self._checkout.python, checkpoint / "model", target)
        process = Program(
            arguments, cwd=self._checkout.root, env=self._checkout.environment(offline=self.settings.offline)
        )
        try:
            code = process.wait(3600)
            if code != 0 or not (target / WEIGHTS).is_file() or not (target / WEIGHTS).stat().st_size:
                raise DefectError(f"the checkpoint could not be converted (exit code {code})\n{process.tail()}")
        finally:
            process.kill()
        out.mkdir(parents=True, exist_ok=True)
        shutil.move(target / WEIGHTS, out / WEIGHTS)

    def _check_export(self, out: Path) -> None:
        """Let upstream load it as generation will.

        Raises InputError naming the keys that do not fit, DefectError if upstream's log does not speak of them: a
        checkpoint that nobody has checked is not published.
        """
        weights = command.Weights.of(out, self.settings.post_train.experiment)
        with tempfile.TemporaryDirectory(prefix="check-", dir=self.work) as name:
            try:
                loaded = Resident(self._checkout, self.settings, weights, Path(name))
            except UnusableError as error:
                raise DefectError(
                    f"the exported checkpoint cannot be checked, upstream has no such classes: {error}",
                    fix="set post_train.check_export: false; generation then checks it at its first sample",
                ) from None
            except UpstreamLoadError as error:
                raise DefectError(f"upstream cannot load the checkpoint that it exported: {error}") from None
            loaded.close()
            if not loaded.report.found:
                raise DefectError(
                    "the exported checkpoint cannot be checked: upstream's debug.log says nothing of its keys",
                    fix="compare upstream with generate.settings.commit, or set post_train.check_export: false",
                )


def _last_step(text: str) -> int:
    found = [int(one or other) for one, other in _STEP.findall(text)]
    return max(found, default=0)


def check_dataset(folder: Path, frames: int) -> tuple[tuple[str, ...], int]:
    """The distinct prompts and the number of clips of a training folder.

    Raises InputError for whatever upstream would pass over in silence: a clip that cannot be read or is not longer
    than `frames` is replaced by another one, a missing prompt becomes an empty one, captions/ overrules metas/.
    """
    clips = read_post_training(folder)
    for clip in clips:
        if clip.frames <= frames:
            raise VideoError(clip.video, "frames", f"has {clip.frames} frames; upstream draws {frames} out of more")
    return tuple(sorted({clip.prompt for clip in clips})), len(clips)
