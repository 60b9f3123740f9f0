"""Upstream's command lines and constructor arguments, each built in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.backends.cosmos_predict25.artifact import WEIGHTS, load_artifact
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings, PostTrainSettings

CONFIG = "cosmos_predict2/_src/predict2/configs/video2world/config.py"
PROJECT, GROUP = "cosmos_predict_v2p5", "video2world"
MASTER_PORT = 12341


@dataclass(frozen=True)
class Weights:
    """What is loaded: a post-trained checkpoint with its experiment, or one of upstream's models."""

    model: str
    checkpoint: Path | None = None
    experiment: str | None = None

    @classmethod
    def of(cls, folder: Path, experiment: str) -> Weights:
        """Those that post-training with an experiment left in a folder."""
        model = "14B/pre-trained" if "_14b_" in experiment else "2B/pre-trained"
        return cls(model, (folder / WEIGHTS).absolute(), experiment)


def weights_of(settings: CosmosSettings, checkpoint: Path | None) -> Weights:
    """What generation loads. Raises InputError for a folder that holds no checkpoint."""
    return Weights.of(checkpoint, load_artifact(checkpoint).experiment) if checkpoint else Weights(settings.model)


def setup_arguments(settings: CosmosSettings, weights: Weights, output: Path) -> dict[str, Any]:
    """Keyword arguments of upstream's SetupArguments. `model` is always there: its validator asks for it."""
    arguments: dict[str, Any] = {
        "output_dir": str(output),
        "model": weights.model,
        "context_parallel_size": 1,
        "disable_guardrails": not settings.guardrails,
        "keep_going": True,
    }
    if weights.checkpoint is not None:
        arguments |= {"checkpoint_path": str(weights.checkpoint), "experiment": weights.experiment}
    for part in settings.offload:
        arguments[f"offload_{part.replace('-', '_')}"] = True
    return arguments


def inference_command(
    python: Path | str, settings: CosmosSettings, weights: Weights, batch: Path, output: Path
) -> list[str]:
    """examples/inference.py for one shard on one GPU."""
    command = [str(python), "examples/inference.py", "-i", str(batch), "-o", str(output)]
    if weights.checkpoint is not None:
        command += ["--checkpoint-path", str(weights.checkpoint), "--experiment", str(weights.experiment)]
    else:
        command += ["--model", weights.model]
    command += ["--context-parallel-size", "1"]
    if not settings.guardrails:
        command.append("--disable-guardrails")
    return command + [f"--offload-{part}" for part in settings.offload]


def train_command(
    python: Path | str, train: PostTrainSettings, dataset: Path, size: tuple[int, int], seed: int
) -> list[str]:
    """torchrun for the post-training. size: (width, height) of the training pictures.

    The dataset appears twice in upstream's configuration, once for the sampler; overriding one alone trains on the
    other's length. The size is overridden too: upstream squeezes everything into 432x768.
    """
    overrides = [f"experiment={train.experiment}"]
    for place in ("dataloader_train.dataset", "dataloader_train.sampler.dataset"):
        overrides += [f"{place}.dataset_dir={dataset}", f"{place}.video_size=[{size[1]},{size[0]}]"]
    overrides += [
        f"dataloader_train.num_workers={train.loader_workers}",
        f"trainer.max_iter={train.steps}",
        f"trainer.seed={seed}",
        f"checkpoint.save_iter={train.save_every}",
    ]
    if train.learning_rate is not None:
        overrides.append(f"optimizer.lr={train.learning_rate!r}")
    if train.warm_up_steps is not None:
        overrides.append(f"scheduler.warm_up_steps=[{train.warm_up_steps}]")
    if not train.wandb:
        overrides.append("job.wandb_mode=disabled")
    return [
        str(python), "-m", "torch.distributed.run", f"--nproc_per_node={train.gpus}", f"--master_port={MASTER_PORT}",
        "-m", "scripts.train", f"--config={CONFIG}", "--", *overrides, *train.overrides,
    ]  # fmt: skip


def convert_command(python: Path | str, model: Path, output: Path) -> list[str]:
    """scripts/convert_distcp_to_pt.py: a distributed checkpoint's `model` folder to .pt files (CPU only)."""
    return [str(python), "scripts/convert_distcp_to_pt.py", str(model), str(output)]


def checkpoints_folder(root: Path, job_name: str) -> Path:
    """Where the training puts its checkpoints below IMAGINAIRE_OUTPUT_ROOT."""
    return root / PROJECT / GROUP / job_name / "checkpoints"
