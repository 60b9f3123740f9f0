"""Training: a LeRobot dataset in, an artifact folder out."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
import torch

from leicos_jobs.backends.compact import data, images, machine, predict
from leicos_jobs.backends.compact.artifact import Artifact, Norms
from leicos_jobs.backends.compact.encoder_training import Job, targets, train_encoder
from leicos_jobs.backends.compact.head import train_head
from leicos_jobs.backends.compact.settings import NAME, TRAINER_VERSION, CompactSettings, Recipe
from leicos_jobs.backends.requests import TrainRequest, TrainResult
from leicos_jobs.backends.training_data import open_training
from leicos_jobs.core.digests import digest_of
from leicos_jobs.formats.lerobot_layout import IMAGES


def train(settings: CompactSettings, request: TrainRequest) -> TrainResult:
    """Write the artifact to `request.out`. Facts: `losses`; `geometry`, whether the robot's kinematics could be used;
    `seconds` (read, encoder, head); and `samples`. Raises InputError for a dataset that cannot be trained on."""
    recipe = settings.recipe()
    with machine.settled(recipe.device, recipe.threads) as device:
        return _train(recipe, request, device)


def _train(recipe: Recipe, request: TrainRequest, device: torch.device) -> TrainResult:
    clock = [time.monotonic()]
    robot = request.robot
    camera = request.camera.removeprefix(IMAGES)
    dataset = open_training(request.dataset, request.train, robot, camera)
    training = data.load(dataset, camera, request.train, robot=robot, image_width=recipe.image_width, crop=recipe.crop)
    norms = normalisation(training)
    digest = data.digest(dataset, camera, request.train)
    identity = digest_of(
        {"version": TRAINER_VERSION, "recipe": recipe.model_dump(), "robot": robot.reference(), "data": digest,
         "seed": request.seed, "torch": torch.__version__}
    )  # fmt: skip
    clock.append(time.monotonic())
    job = Job(recipe, robot, norms, training, request.seed, identity, request.resume, request.report)
    encoder, trained = train_encoder(job, device)
    clock.append(time.monotonic())
    found = predict.estimates(encoder, images.middle(training.frames, training.spec), norms, device)
    true = predict.to_common(targets(training, norms), norms)
    common = predict.to_common(found, norms)
    head = train_head(common, true[:, 0], true.sum(axis=1), training.bounds, request.seed, recipe.head_steps)
    clock.append(time.monotonic())
    facts = {
        "backend": NAME, "version": TRAINER_VERSION, "recipe": recipe.model_dump() | {"robot": robot.name},
        "seed": request.seed,
        "robot": robot.name, "joints": robot.action.feature_names, "units": "lerobot motor units",
        "camera": IMAGES + camera, "dataset_sha256": digest, "train_episodes": list(request.train),
        "torch": torch.__version__,
    }  # fmt: skip
    model = Artifact(encoder, head, training.spec, norms, float(dataset.fps), facts)
    model.save(request.out)
    names = ("read", "encoder", "head")
    degrees = np.abs(found[:, 0] - true[:, 0]).mean(axis=0) * norms.std * robot.action.degrees_per_unit()
    result = {
        **trained,
        "seconds": {name: round(b - a, 2) for name, a, b in zip(names, clock[:-1], clock[1:], strict=True)},
        "samples": recipe.steps * recipe.batch,
        "frames": len(training.actions),
        "window": asdict(training.spec),
        "train_state_mae_deg": [round(float(value), 6) for value in degrees],
    }
    return TrainResult.model_validate(result)


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
