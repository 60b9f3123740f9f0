"""What runs of the tutorial's Cosmos part, and why it differs: each upstream command with the tutorial's own arguments
(tutorial 2.2-2.4, upstream's guides to GR00T post-training, 2.1, 3.1, 3.2, and to inference), then ours.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.backends.cosmos_predict25 import command
from leicos_jobs.backends.cosmos_predict25.artifact import WEIGHTS
from leicos_jobs.backends.cosmos_predict25.settings import JOB_NAMES, CosmosSettings
from leicos_jobs.formats.cosmos import GENERIC_PROMPT, TUTORIAL_NEGATIVE_PROMPT, prompt_for

DATASET, CHECKPOINT, BATCH, OUTPUT = (
    Path("cosmos/dataset"), Path("cosmos/checkpoint"), Path("shard.jsonl"), Path("out"),
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One command of the tutorial. theirs, ours: shell lines. why: what differs and for what reason."""

    title: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    why: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(f"== {self.title}", "  the tutorial:"),
            *(f"    {line}" for line in self.theirs),
            "  leicos:",
            *(f"    {line}" for line in self.ours),
            "  why:",
            *(f"    - {reason}" for reason in self.why),
        ]


def tutorial_line(task: str = "Lift the red cube up.", episode: int = 0) -> str:
    """The line that the tutorial's generate_batch_config.py --use-prompt writes for an episode, field for field."""
    name = f"episode_{episode:06d}"
    fields = {
        "inference_type": "video2world",
        "seed": 21,
        "guidance": 7,
        "resolution": "480,640",
        "enable_autoregressive": True,
        "num_output_frames": 210,
        "chunk_size": 77,
        "chunk_overlap": 1,
        "prompt": f"{GENERIC_PROMPT}. {task}",
        "negative_prompt": TUTORIAL_NEGATIVE_PROMPT,
        "name": f"liftcube_{name}",
        "input_path": f"<path_to_lerobot_dataset>/videos/chunk-000/observation.images.front/{name}.mp4",
    }
    return json.dumps(fields)


def steps(settings: CosmosSettings, task: str, frames: int, size: tuple[int, int]) -> list[Step]:
    """The tutorial's Cosmos part in its order. frames, size (width, height): of the run's videos."""
    return [_dataset(task), _training(settings, size), _conversion(settings), _batch(settings, task, frames, size),
            _inference(settings)]  # fmt: skip


def explain(settings: CosmosSettings, task: str, frames: int, size: tuple[int, int]) -> list[str]:
    """The same as lines for people."""
    return [line for step in steps(settings, task, frames, size) for line in step.lines()]


def _dataset(task: str) -> Step:
    prompt = prompt_for(task)
    return Step(
        "2.2 the training folder",
        (
            "cp <path_to_lerobot_dataset>/videos/... cosmos-predict2.5/datasets/benchmark_train/<task_name>/videos/",
            "rename to 1.mp4, 2.mp4, 3.mp4 ...",
            f"echo {prompt} > cosmos-predict2.5/datasets/benchmark_train/<task_name>/metas/1.txt",
        ),
        ("leicos cosmos-dataset --run RUN", f"    {DATASET}/videos/1.mp4 {DATASET}/metas/1.txt: {prompt}"),
        (
            "videos are H.264 in fact: upstream's reader passes over AV1 without a word and takes another clip",
            "clips of 93 frames or fewer are left out and counted: upstream passes over them too",
            "the same prompt form is used for generation: the tutorial trains on one and generates with another",
        ),
    )


def _training(settings: CosmosSettings, size: tuple[int, int]) -> Step:
    train = settings.post_train
    return Step(
        "2.3 post-training",
        (
            f"torchrun --nproc_per_node={8 if '_14b_' in train.experiment else 1} "
            f"--master_port={command.MASTER_PORT} -m scripts.train "
            f"--config={command.CONFIG} -- experiment={train.experiment}",
        ),
        (f"IMAGINAIRE_OUTPUT_ROOT=SCRATCH {shlex.join(command.train_command('python', train, DATASET, size, 21))}",),
        (
            "python -m torch.distributed.run is torchrun",
            "upstream's experiment reads datasets/benchmark_train/gr1: the folder is overridden, in both places it "
            "stands in (the sampler has a copy of its own)",
            f"upstream squeezes pictures to 432x768: video_size is set to {size[1]}x{size[0]}, which is generated",
            "W&B is on, by choice" if train.wandb else "W&B is off: an offline pod cannot reach it",
            "checkpoints go to the run's store as they appear, the training goes on from the latest: upstream writes "
            "to /tmp, which is lost with the pod",
        ),
    )


def _conversion(settings: CosmosSettings) -> Step:
    folder = command.checkpoints_folder(Path("ROOT"), JOB_NAMES[settings.post_train.experiment])
    checkpoint = folder / f"iter_{settings.post_train.steps:09}"
    return Step(
        "2.4 conversion",
        (
            "CHECKPOINTS_DIR=${IMAGINAIRE_OUTPUT_ROOT:-/tmp/imaginaire4-output}/"
            f"{command.PROJECT}/{command.GROUP}/{JOB_NAMES[settings.post_train.experiment]}/checkpoints",
            "CHECKPOINT_ITER=$(cat $CHECKPOINTS_DIR/latest_checkpoint.txt)",
            "CHECKPOINT_DIR=$CHECKPOINTS_DIR/$CHECKPOINT_ITER",
            "python scripts/convert_distcp_to_pt.py $CHECKPOINT_DIR/model $CHECKPOINT_DIR",
        ),
        (shlex.join(command.convert_command("python", checkpoint / "model", Path("EXPORT"))),),
        (
            f"the result is loaded once, and keys that do not fit fail the job: upstream only logs them; then "
            f"{WEIGHTS} is published with its digest and its experiment",
        ),
    )


def _batch(settings: CosmosSettings, task: str, frames: int, size: tuple[int, int]) -> Step:
    name, clip = "3f9c0a7b2d41e85c9a10", "/scratch/demo_0-5.mp4"
    line = settings.line(name=name, prompt=prompt_for(task), clip=clip, seed=21, frames=frames, size=size)
    return Step(
        "2.4 the batch",
        ("python scripts/generate_batch_config.py --use-prompt", tutorial_line(task)),
        ("leicos plan --run RUN", line.line().strip()),
        (
            "input_path is the five frames from row0 on: upstream goes on from the LAST five of what it is given, so "
            "the tutorial's whole demo would be continued from its end",
            f"many seeds per demo, {settings.chunks(frames)} apart: a video's chunks use seed, seed+1, ...",
            "the prompt is the training's",
            "the name is the sample's id, so that a video is never mistaken for another demo's",
        ),
    )


def _inference(settings: CosmosSettings) -> Step:
    train = settings.post_train
    weights = command.Weights("2B/pre-trained", CHECKPOINT / WEIGHTS, train.experiment)
    return Step(
        "2.4 inference",
        (
            "torchrun --nproc_per_node=8 examples/inference.py -i batch_inference_config.jsonl "
            "-o outputs/gr00t_gr1_sample "
            f"--checkpoint-path $CHECKPOINT_DIR/model_ema_bf16.pt --experiment {train.experiment}",
        ),
        (
            shlex.join(command.inference_command("python", settings, weights, BATCH, OUTPUT)),
            "or, in one resident process, upstream's classes with the same arguments: "
            f"Inference(SetupArguments({json.dumps(command.setup_arguments(settings, weights, OUTPUT))}))",
        ),
        (
            "one GPU a pod and a shard of its own: upstream spreads one video over 8 GPUs, which gave 4.6 times "
            "the speed for 8 times the price (measured by its users on Predict2)",
            "the resident process is the default: an exception then costs one sample, not the batch",
            "RANK and WORLD_SIZE are cleared: set by an operator, they make a lone worker wait for others",
            "no --skip-existing-output: upstream counts a sample whose pod died as done; leicos asks only for what is "
            "missing and commits each video when it is whole",
            "guardrails off" if not settings.guardrails else "guardrails on, by choice",
            "upstream labels every video 16 frames/s: it is re-stamped to the dataset's rate",
        ),
    )
