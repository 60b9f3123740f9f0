"""The trainer: a LeRobot dataset in, an artifact folder and its held-out errors out.

Also a command, for long runs on a GPU outside a pipeline:
`python -m leicos_jobs.backends.compact.train --dataset D --out O --set size=full --set steps=20000`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from leicos_jobs.backends.base import TrainRequest
from leicos_jobs.backends.compact import data, images, machine, predict
from leicos_jobs.backends.compact.artifact import Artifact, Norms
from leicos_jobs.backends.compact.encoder_training import Job, targets, train_encoder
from leicos_jobs.backends.compact.head import train_head
from leicos_jobs.backends.compact.settings import CompactSettings
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import ExitCode, InputError, LeicosError
from leicos_jobs.core.logs import event
from leicos_jobs.judge import metrics
from leicos_jobs.robots.embodiment import Embodiment, embodiment

F32 = NDArray[np.float32]


class CompactTrainer:
    """Trains the encoder, then the temporal head, then judges both on the demos held out."""

    name: ClassVar[str] = "compact"
    version: ClassVar[int] = 1
    upstream: ClassVar[str] = ""
    Settings: ClassVar[type[BaseModel]] = CompactSettings
    batch: int = 1

    def __init__(self, settings: BaseModel, work: Path) -> None:
        self.settings = CompactSettings.model_validate(settings.model_dump())
        self.recipe = self.settings.recipe()
        self.robot: Embodiment = embodiment(self.recipe.robot)

    def train(self, request: TrainRequest) -> dict[str, Any]:
        """Write the artifact to `request.out`. Facts: `losses`; `geometry`, whether the robot's kinematics could be
        used; `seconds` (read, encoder, head, judge); `samples`; and `held_out`, see `metrics.judge`, None if no demo
        was held out."""
        shared = sorted(set(request.train) & set(request.held_out))
        if shared:
            raise InputError(f"episodes {shared} are both trained on and held out", fix="give each to one side")
        with machine.settled(self.recipe.device, self.recipe.threads) as device:
            return self._train(request, device)

    def _train(self, request: TrainRequest, device: torch.device) -> dict[str, Any]:
        clock = [time.monotonic()]
        dataset = data.Dataset.open(request.dataset, request.camera)
        recipe = self.recipe
        training = data.load(
            dataset, request.train, joints=self.robot.width, image_width=recipe.image_width, crop=recipe.crop
        )
        norms = normalisation(training)
        digest = dataset.digest(request.train)
        identity = digest_of(
            {"version": self.version, "recipe": recipe.model_dump(), "data": digest, "seed": request.seed,
             "torch": torch.__version__}
        )  # fmt: skip
        clock.append(time.monotonic())
        job = Job(recipe, self.robot, norms, training, request.seed, identity, request.resume, request.report)
        encoder, trained = train_encoder(job, device)
        clock.append(time.monotonic())
        found = predict.estimates(encoder, images.middle(training.frames, training.spec), norms, device)
        true = predict.to_common(targets(training, norms), norms)
        common = predict.to_common(found, norms)
        head = train_head(common, true[:, 0], true.sum(axis=1), training.bounds, request.seed, recipe.head_steps)
        clock.append(time.monotonic())
        facts = {
            "backend": self.name, "version": self.version, "recipe": recipe.model_dump(), "seed": request.seed,
            "robot": self.robot.name, "joints": self.robot.feature_names, "units": "lerobot motor units",
            "camera": dataset.camera, "dataset_sha256": digest, "train_episodes": list(request.train),
            "torch": torch.__version__,
        }  # fmt: skip
        model = Artifact(encoder, head, training.spec, norms, dataset.fps, facts)
        model.save(request.out)
        held_out = self._judge(model, dataset, request.held_out, training.per_episode(training.actions), device)
        clock.append(time.monotonic())
        names = ("read", "encoder", "head", "judge")
        return {
            **trained,
            "seconds": {name: round(b - a, 2) for name, a, b in zip(names, clock[:-1], clock[1:], strict=True)},
            "samples": recipe.steps * recipe.batch,
            "frames": len(training.actions),
            "window": training.spec.as_dict(),
            "train_state_mae_deg": metrics.numbers(
                (np.abs(found[:, 0] - true[:, 0]).mean(axis=0) * norms.std) * self.robot.degrees_per_unit()
            ),
            "held_out": held_out,
        }

    def _judge(
        self,
        model: Artifact,
        dataset: data.Dataset,
        episodes: Sequence[int],
        training: Sequence[F32],
        device: torch.device,
    ) -> dict[str, Any] | None:
        if not episodes:
            return None
        labels, truths = [], []
        for episode in episodes:
            windows = images.read_windows(dataset.video_path(episode), model.spec)
            labels.append(predict.label(model, windows, device))
            truths.append(dataset.rows(episode, self.robot.width)[0])
        return metrics.judge(
            labels,
            truths,
            training,
            self.robot.degrees_per_unit(),
            self.robot.motor_limits(),
        )


def normalisation(training: data.Training) -> Norms:
    """Means and spreads of the training set. A joint that never moves gets a spread of one unit."""
    spread = training.states.std(axis=0)
    step = (training.actions - training.states).std(axis=0)
    sample = training.frames[:: max(1, len(training.frames) // 1000)].reshape(-1, 3) / np.float32(255.0)
    return Norms(
        mean=training.states.mean(axis=0).astype(np.float32),
        std=np.where(spread > 1e-3, spread, 1.0).astype(np.float32),
        step=np.where(step > 1e-3, step, 1.0).astype(np.float32),
        pixel_mean=sample.mean(axis=0).astype(np.float32),
        pixel_std=np.maximum(sample.std(axis=0), 1e-2).astype(np.float32),
    )


def settings_from(pairs: Sequence[str]) -> CompactSettings:
    """Settings from `key=value` texts; values are JSON, or plain words. Raises InputError listing every mistake."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    try:
        return CompactSettings(**values)
    except ValidationError as error:
        raise InputError(f"--set: {error}", fix="see CompactSettings for names and ranges") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; prints the facts as JSON. Returns an exit status of `ExitCode`."""
    parser = argparse.ArgumentParser(prog="python -m leicos_jobs.backends.compact.train", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="LeRobot v2.1 folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the artifact; facts.json goes there too")
    parser.add_argument("--resume", type=Path, help="folder for checkpoints (default: OUT.resume)")
    parser.add_argument("--camera", default="front")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", type=float, default=0.25, help="share of episodes held out, drawn by the seed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a field of CompactSettings")
    options = parser.parse_args(arguments)
    try:
        settings = settings_from(options.set)
        count = data.Dataset.open(options.dataset, options.camera).episodes
        order = np.random.default_rng([options.seed, 31]).permutation(count)
        held = sorted(int(e) for e in order[: round(count * options.held_out)])
        request = TrainRequest(
            dataset=options.dataset, camera=options.camera, held_out=held, seed=options.seed, out=options.out,
            train=[e for e in range(count) if e not in set(held)],
            resume=options.resume or options.out.with_name(options.out.name + ".resume"),
            report=lambda done, total: event("compact.train", step=done, steps=total),
        )  # fmt: skip
        facts = CompactTrainer(settings, options.out).train(request)
    except LeicosError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    text = json.dumps(facts, indent=1)
    (options.out / "facts.json").write_text(text + "\n")
    print(text)
    return int(ExitCode.DONE)


if __name__ == "__main__":
    sys.exit(main())
