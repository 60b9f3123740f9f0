"""Training: upstream's scripts/idm_training.py in a process of its own, resumable, its result published as an artifact.

experiment_cfg/conf.yaml lies in the output folder before training starts; upstream copies that folder into every
checkpoint, which is what its dump script misses otherwise. Finished checkpoints are linked into the resume folder, so
whatever keeps that folder sees whole ones only; one that a kill left half written is dropped at the next start.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leicos_jobs.backends.gr00t_dreams import artifact, configs, settings
from leicos_jobs.backends.gr00t_dreams.checkpoint import is_whole, weight_files
from leicos_jobs.backends.gr00t_dreams.dataset import training_view
from leicos_jobs.backends.requests import TrainRequest, TrainResult
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.core.files import link_tree
from leicos_jobs.core.logs import event
from leicos_jobs.core.programs import Program
from leicos_jobs.robots.embodiment import Embodiment

SCRIPT = Path(__file__).parent / "upstream" / "idm_train.py"
IDENTITY = "identity.json"
STATE = "trainer_state.json"
"""The last file of a checkpoint that upstream's trainer writes."""
CHECKPOINT_FILES = (STATE, "optimizer.pt", "scheduler.pt")


def train(chosen: settings.TrainerSettings, work: Path, request: TrainRequest) -> TrainResult:
    """Train and publish to `request.out`; see `TrainRequest`."""
    robot = request.robot
    configs.require_fit(robot)
    checkout, begun = settings.checkout(chosen.checkout), time.monotonic()
    view = training_view(request.dataset, fresh(work / "gr00t-dataset"), request.train, robot, request.camera)
    chosen_for = chosen.model_dump(mode="json") | {"robot": robot.reference()}
    identity = {"settings": chosen_for, "data": view.digest, "seed": request.seed,
                "upstream": settings.UPSTREAM}  # fmt: skip
    output = fresh(work / "gr00t-output")
    resumed = prepare_output(output, request.resume, identity, configs.conf_yaml(robot, (request.camera,)))
    job = {
        "conf": configs.conf(robot, (request.camera,)), "robot": robot.name, "seed": request.seed,
        "keep": chosen.keep_checkpoints, "arguments": arguments(chosen, robot, view.root, output, resume=resumed > 0),
    }  # fmt: skip
    if resumed < chosen.steps:  # upstream's trainer, resumed at its end, would take a step more
        path = work / "gr00t-job.json"
        path.write_text(json.dumps(job))
        follow(
            command(chosen, path), checkout, request.report,
            saved=lambda: keep(output, request.resume, chosen.keep_checkpoints),
        )  # fmt: skip
    trained = output if resumed < chosen.steps else output / f"checkpoint-{resumed}"
    seconds = time.monotonic() - begun
    facts: dict[str, Any] = {
        "backend": "gr00t-dreams", "settings": identity["settings"], "seed": request.seed,
        "dataset_sha256": view.digest, "train_episodes": list(request.train), "losses": losses(trained),
    }  # fmt: skip
    described = artifact.publish(
        trained, request.out, robot, request.camera, stats=view.stats, geometry=view.geometry, fps=view.fps, facts=facts
    )
    shutil.rmtree(output)
    result = facts | {
        "seconds": {"train": round(seconds, 1)}, "rows": view.rows, "digest": described.digest,
        "samples": chosen.steps * chosen.batch * chosen.gpus, "resumed_from": resumed, "gpus": chosen.gpus,
    }  # fmt: skip
    return TrainResult.model_validate(result)


def arguments(
    chosen: settings.TrainerSettings, robot: Embodiment, dataset: Path, output: Path, *, resume: bool
) -> list[str]:
    """Command line of scripts/idm_training.py (a tyro dataclass)."""
    values = {
        "dataset-path": dataset, "output-dir": output, "data-config": robot.name, "batch-size": chosen.batch,
        "max-steps": chosen.steps, "num-gpus": chosen.gpus, "save-steps": chosen.save_steps,
        "learning-rate": chosen.learning_rate, "weight-decay": chosen.weight_decay,
        "warmup-ratio": chosen.warmup_ratio, "dataloader-num-workers": chosen.workers, "report-to": "none",
        "embodiment-tag": robot.gr00t.tag, "video-backend": chosen.video_backend,
    }  # fmt: skip
    given = [part for key, value in values.items() for part in (f"--{key}", str(value))]
    flags = {"resume": resume, "random-init": chosen.random_init}
    return [*given, *(f"--{name}" if on else f"--no-{name}" for name, on in flags.items())]


def command(chosen: settings.TrainerSettings, job: Path) -> list[str]:
    """The driver under upstream's interpreter; several GPUs by torchrun, since the script's own restart through it
    would forget the registered data config."""
    python = settings.python(chosen.python)
    if chosen.gpus == 1:
        return [python, str(SCRIPT), str(job)]
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={chosen.gpus}", "--nnodes=1"]
    return [python, *launch, str(SCRIPT), str(job)]


def follow(arguments: list[str], checkout: Path, report: Callable[[int, int], None], saved: Callable[[], None]) -> None:
    """Run upstream's trainer to its end. report: as in TrainRequest; what it raises ends the training. saved: called
    when a checkpoint is complete. Raises DefectError with upstream's last lines if it fails."""
    environment = settings.environment(checkout, WANDB_MODE="offline", IS_TORCHRUN="1", TOKENIZERS_PARALLELISM="false")
    program = Program(arguments, cwd=checkout, env=environment, marker="LEICOS ")
    try:
        for message in program.messages():
            facts = json.loads(message)
            if "saved" in facts:
                saved()
                event("gr00t-dreams.checkpoint", step=facts["saved"])
            else:
                report(int(facts["step"]), int(facts["steps"]))
    finally:
        code = program.kill()  # data loaders and ranks too
    if code != 0:
        raise DefectError(f"GR00T-Dreams' training ended with exit {code}:\n{program.tail()}")


def losses(folder: Path) -> list[tuple[int, float]]:
    """(step, loss) as upstream's trainer noted them, over all attempts."""
    try:
        history = json.loads((folder / STATE).read_text())["log_history"]
        return [(int(item["step"]), float(item["loss"])) for item in history if "loss" in item]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in a folder, oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[1].isdigit() and complete(path)]
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


def complete(path: Path) -> bool:
    """Whether a checkpoint can be resumed from: all files there, weights of full length, state readable."""
    if not all((path / name).is_file() for name in CHECKPOINT_FILES) or not list(path.glob("rng_state*.pth")):
        return False
    try:
        json.loads((path / STATE).read_text())
        return all(is_whole(file) for file in weight_files(path))
    except (ValueError, OSError, KeyError, InputError):
        return False


def prepare_output(output: Path, resume: Path, identity: dict[str, Any], conf: str) -> int:
    """Place conf.yaml, and the newest whole checkpoint of this very training; returns its step or 0."""
    folder = output / "experiment_cfg"
    folder.mkdir()
    (folder / "conf.yaml").write_text(conf)
    resume.mkdir(parents=True, exist_ok=True)
    mine = resume / IDENTITY
    if not mine.is_file() or mine.read_text() != digest_of(identity):
        for old in resume.glob("checkpoint-*"):
            shutil.rmtree(old)
        mine.write_text(digest_of(identity))
    kept = checkpoints(resume)
    for stale in set(resume.glob("checkpoint-*")) - set(kept):
        shutil.rmtree(stale)
    if not kept:
        return 0
    newest = kept[-1]
    link_tree(newest, output / newest.name)
    (output / newest.name / "experiment_cfg").mkdir(exist_ok=True)
    (output / newest.name / "experiment_cfg" / "conf.yaml").write_text(conf)
    return int(newest.name.split("-")[1])


def keep(output: Path, resume: Path, count: int) -> None:
    """Link complete checkpoints of `output` into `resume` and drop all but the newest `count` there."""
    for path in checkpoints(output):
        if not (resume / path.name).exists():
            partial = resume / f"partial-{path.name}"
            shutil.rmtree(partial, ignore_errors=True)
            link_tree(path, partial)
            partial.rename(resume / path.name)
    for old in checkpoints(resume)[:-count]:
        shutil.rmtree(old)
