"""Post-training on the run's own demos: of NVIDIA's sizes by LoRA or in full, of size small from nothing.

Latents and embeddings are computed once; then only the denoiser is trained. Everything that a later attempt needs lies
in the resume folder. Sample videos and the loss curve lie in the checkpoint's held_out/, which is no part of it.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from typing_extensions import override

from leicos_jobs.backends.base import PostTrainer
from leicos_jobs.backends.cosmos.settings import CONDITIONING, CosmosSettings
from leicos_jobs.backends.requests import PostTrainRequest, TrainResult
from leicos_jobs.core import logs
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.cosmos import Clip, read_post_training

NEEDED = ("torch", "torchvision", "diffusers", "transformers", "peft", "safetensors")
PREVIEWS, CURVE = "held_out", "training.jsonl"


@dataclass(frozen=True)
class _Demos:
    trained: list[Clip]
    held_out: list[Clip]

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(sorted({clip.prompt for clip in self.trained + self.held_out}))

    def identity(self) -> list[list[str]]:
        return [[sha256_file(clip.video) + clip.prompt for clip in side] for side in (self.trained, self.held_out)]


class CosmosPostTrainer(PostTrainer[CosmosSettings], name="cosmos", version=1, holds_out=True):
    """Post-trainer `cosmos`; its settings are the generator's."""

    def __init__(self, settings: CosmosSettings, work: Path) -> None:
        """Raises InputError if the extra is not installed."""
        super().__init__(settings, work)
        if lacking := [name for name in NEEDED if find_spec(name) is None]:
            raise InputError(f"cosmos needs {', '.join(lacking)}", fix="pip install 'leicos[torch,cosmos]'")

    @override
    @classmethod
    def identity(cls, settings: CosmosSettings) -> dict[str, Any]:
        """Settings that determine the checkpoint: guidance or steps of the generation do not."""
        kept = {"family", "size", "weights", "base", "dtype", "post_train"}
        return settings.model_dump(mode="json", exclude_defaults=True, include=kept)

    @override
    def train(self, request: PostTrainRequest) -> TrainResult:
        """Train what is missing and write the checkpoint.

        Raises InputError (dataset, weights, GPU, a loss that is no number), RetryError out of `report` on a stop.
        """
        from leicos_jobs.backends.cosmos.trainer import Trainer

        self.settings.check(*request.size)
        demos = _demos(request)
        recipe = self.settings.recipe
        identity = digest_of(
            {
                "settings": self.identity(self.settings), "recipe": recipe.identity(),
                "demos": demos.identity(), "geometry": list(request.size), "seed": request.seed,
            }
        )  # fmt: skip
        begun = time.monotonic()
        trainer = Trainer(self.settings, request, demos.trained, demos.held_out, identity)
        trainer.prepare()
        prepared = time.monotonic()
        curve = trainer.train()
        trained = time.monotonic()
        sha256 = trainer.export()
        (request.out / PREVIEWS).mkdir(exist_ok=True)
        (request.out / PREVIEWS / CURVE).write_text("".join(json.dumps(point) + "\n" for point in trainer.curves))
        for preview in sorted(trainer.previews.glob("*.mp4")):
            shutil.copyfile(preview, request.out / PREVIEWS / preview.name)
        settings = self.settings
        from leicos_jobs.backends.cosmos.artifact import CosmosCheckpoint

        checkpoint = CosmosCheckpoint(
            family=settings.family,
            size=settings.size,
            weights=settings.weights,
            method=recipe.method,
            sha256=sha256,
            steps=recipe.steps,
            geometry=request.size,
            clips=len(demos.trained),
            held_out=len(demos.held_out),
            loss=curve[-1]["loss"],
            held_out_loss=curve[-1].get("held_out_loss"),
            prompts=demos.prompts,
        )
        checkpoint.write(request.out)
        seconds = {"prepare": prepared - begun, "train": trained - prepared, "export": time.monotonic() - trained}
        facts = checkpoint.model_dump(mode="json", exclude={"held_out"}) | {
            "held_out_clips": checkpoint.held_out,
            "seconds": {name: round(value, 1) for name, value in seconds.items()},
            "psnr": trainer.psnr,
        }
        return TrainResult.model_validate(facts)


def _demos(request: PostTrainRequest) -> _Demos:
    clips = read_post_training(request.dataset)
    held = set(request.held_out)
    demos = _Demos([c for c in clips if c.number not in held], [c for c in clips if c.number in held])
    if not demos.trained:
        raise InputError(
            f"all {len(clips)} clips of {request.dataset} are held out: there is none to train on",
            fix="record more demos, or lower split.held_out_share",
        )
    short = [clip.video.name for clip in clips if clip.frames < CONDITIONING]
    if short:
        raise InputError(f"{', '.join(short)}: fewer than {CONDITIONING} frames", fix="remove them")
    logs.event("cosmos.demos", trained=len(demos.trained), held_out=len(demos.held_out))
    return demos
