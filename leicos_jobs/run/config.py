"""The configuration of a run: frozen, complete, every unknown key refused and all errors listed at once.

Field descriptions feed `leicos config --schema`, the commented file that `leicos init` writes and the reference page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import not_writable, sentence_problem
from leicos_jobs.core.validation import describe_errors
from leicos_jobs.core.workflow_size import require_fit
from leicos_jobs.core.yaml_text import mapping
from leicos_jobs.robots.embodiment import DEFAULT, embodiment, is_file
from leicos_jobs.run.config_former import INSTEAD, former
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.config_section import BackendConfig, Section

CAMERA = r"^[A-Za-z0-9_][A-Za-z0-9_-]*$"
"""Of a camera's name: it is part of paths and of entries of GR00T's modality.json."""


class SourceConfig(Section):
    """The recorded demonstrations."""

    files: tuple[str, ...] = Field(min_length=1)
    """LeIsaac HDF5 files and folders of LeRobot datasets, local paths or s3:// URIs, in the order their demos are
    numbered."""
    task: str | None = Field(None, min_length=1)
    """Task text as the dataset stores it, e.g. 'Lift the red cube up.'; unset: each demo's own, as LeRobot has it."""
    tasks: tuple[str | None, ...] = ()
    """Task text of the demos of each of `files`, in their order, where they differ; null in it: `task`."""
    robot: str = DEFAULT
    """A robot that leicos ships, or the path or s3:// URI of a robot's YAML: joints, limits and units."""
    camera: str = Field("front", pattern=CAMERA)
    """The camera that is generated; obs/<camera> in the HDF5, observation.images.<camera> in a dataset."""
    cameras: tuple[Annotated[str, Field(pattern=CAMERA)], ...] = ()
    """Further cameras that the dataset of real demos takes along, each in its own size."""
    strict: bool = False
    """Refuse recordings of which a demo must be left out for another reason than having failed."""
    accept_unmarked: bool = False
    """Take demos without a success mark as successful: files of recorders that mark none."""


class TimeConfig(Section):
    """From HDF5 rows to dataset rows."""

    control_hz: float = Field(60.0, gt=0, le=1000)
    """Rate of HDF5 rows and of replay in 1/s; used where the file's env_args do not say (LeIsaac single-arm: 60)."""
    stride: int | None = Field(None, ge=1, le=30)
    """HDF5 rows per dataset row; found from image repeats when unset (LeIsaac: 2)."""
    row_for_row: bool = False
    """Take every row as upstream does: the videos then play at half speed."""
    drop_rows: int = Field(5, ge=0)
    """Rows left out at the start of each demo, as LeIsaac's converter does."""


class VideoConfig(Section):
    """H.264 settings of the dataset's videos."""

    crf: int = Field(26, ge=0, le=51)
    """x264 quality, lower is better."""
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = "superfast"
    """x264 speed."""
    gop: int = Field(2, ge=1, le=10_000)
    """Frames per group of pictures; 2 is LeRobot's, for fast random access."""


class SplitConfig(Section):
    """Demos kept from IDM training."""

    held_out_share: float = Field(0.25, ge=0, lt=1)
    """Share of demos that the IDM never sees; its error is measured on them."""
    seed: int = 0
    """Which ones."""


class PromptConfig(Section):
    """The prompt form, one for training and generation."""

    use_prompt: bool = True
    """Off gives the tutorial's generic sentence alone."""
    form: Literal["underscored", "prose"] = "underscored"
    """'underscored' gives Lift_the_red_cube_up, as the tutorial trains; 'prose' its inference sentence and the task."""


class PlanConfig(Section):
    """Which samples to generate: demos x row0 x seeds."""

    samples: int = Field(64, ge=1)
    """How many videos, spread evenly over the demos."""
    prompts: tuple[str, ...] = ()
    """Texts to ask for, each from every start: also of behaviours that no demo shows; unset: each demo's own task."""
    row0: tuple[int, ...] = (-1,)
    """HDF5 rows shown in output frame 0; -1 is the demo's first dataset row."""
    first_seed: int = Field(21, ge=0)
    """Seed of a demo's first sample; further ones are spaced by the number of autoregressive chunks."""
    held_out_share: float = Field(0.25, ge=0, le=1)
    """At least this share of samples starts from demos that the IDM never saw."""
    workers: int = Field(64, ge=1)
    """Pods that pull samples in a round, at most: as many as the generate pool has GPUs. More find nothing left."""
    samples_per_worker: int = Field(4, ge=1)
    """A pod is started for so many missing samples, up to `workers`: for fewer, loading the model is not worth it."""


class GenerateConfig(BackendConfig):
    """Video generation."""

    backend: str = "mujoco"
    """cosmos, cosmos-predict2.5, mujoco, echo or import."""
    frames: int = Field(140, ge=6)
    """Frames per video; the Cosmos models natively make 93, autoregressively more."""
    width: int = Field(320, ge=16, multiple_of=16)
    """Pixels; must equal the IDM's training geometry."""
    height: int = Field(240, ge=16, multiple_of=16)
    """Pixels."""
    checkpoint: str | None = None
    """URI of a trained generator; post-training is then skipped."""


class IdmConfig(BackendConfig):
    """Training of the inverse dynamics model."""

    backend: str = "compact"
    """compact or gr00t-dreams; trains and labels."""
    seed: int = 0
    """Of the training."""
    checkpoint: str | None = None
    """URI of an existing IDM artifact; training is then skipped."""


class LabelConfig(Section):
    """Labelling settings, apart from the IDM's own."""

    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of the IDM backend's labeller."""


class ReplayConfig(BackendConfig):
    """Replay of the labels in a simulator."""

    backend: str = "mujoco"
    """mujoco, physx, isaac-sim, or panel: several that must agree."""
    hold: int = Field(30, ge=30)
    """Control steps for which the last target is held."""
    repeats: int = Field(1, ge=1)
    """Replays a sample where the simulator is random."""
    workers: int = Field(16, ge=1)
    """Pods that pull samples to replay, at most, and as many for controls."""
    samples_per_worker: int = Field(50, ge=1)
    """A pod is started for so many samples to replay, up to `workers`: for fewer, starting the simulator is not worth
    it. Controls, of up to four replays each, have a pod for a quarter as many."""
    controls_at_most: int = Field(500, ge=0)
    """Labelled samples, and demos, that are drawn for controls. 500 give a rate within 4.4 points (Wilson, 95 %)."""


class CurateConfig(Section):
    """What enters the synthetic dataset."""

    require_success: bool = True
    """Only samples whose labels succeed in replay."""
    tracking_error_deg_max: float = Field(20.0, gt=0)
    """RMS of target against joint in replay."""
    limit_violation_share_max: float = Field(0.05, ge=0, le=1)
    """Share of labels outside the motor range."""
    accept_unproven: bool = False
    """Where no rule tells success: take samples though the run's checks of its labels are red."""
    jitter_max: float = Field(0.25, ge=0, le=1)
    """Where no rule tells success: share of rows in which velocity flips its sign, beyond that of the demos."""
    start_error_ratio_max: float = Field(4.0, gt=0)
    """Where no rule tells success: error of the labels of a video's first frames, whose actions are known, over the
    error on held-out demos."""


class RoundsConfig(Section):
    """Failures and what is left of them."""

    min_success_ratio: float = Field(0.8, ge=0, le=1)
    """Fewer labelled samples than this share of the plan fail the workflow at the fan-in (refused ones count as
    done)."""
    quarantine_after: int = Field(3, ge=1)
    """Failures of one sample before it is quarantined with its error."""
    losses_max: int = Field(10, ge=1)
    """Workers that may vanish while they work on one sample before it is quarantined."""
    sample_seconds_max: int = Field(3600, ge=5)
    """A backend that works longer on one batch of samples is taken to hang: it is killed and started again."""
    worker_seconds: int = Field(20 * 3600, ge=10)
    """Time budget of a worker in generate, gate and label, each; what is left over goes to the next round."""


class CostConfig(Section):
    """For `plan` and `status` only."""

    dollars_per_hour: dict[str, float] = Field(
        default_factory=lambda: {"generate": 4.0, "train": 4.0, "label": 4.0, "replay": 1.5}
    )
    """Price per hour of one pod of a pool; for a training on eight GPUs, of all eight."""
    generate_seconds: float = Field(150.0, gt=0)
    """Expected GPU seconds per sample (Cosmos 2B, 210 frames, H200: a planning guess, measure yours)."""
    load_seconds: float = Field(180.0, ge=0)
    """Expected seconds per worker to load models."""


class RunConfig(Section):
    """Everything a run needs, in one file."""

    name: str = Field("leicos", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)
    """Short name for reports."""
    source: SourceConfig
    time: TimeConfig = TimeConfig()
    video: VideoConfig = VideoConfig()
    split: SplitConfig = SplitConfig()
    prompt: PromptConfig = PromptConfig()
    plan: PlanConfig = PlanConfig()
    generate: GenerateConfig = GenerateConfig()
    gate: GateConfig = GateConfig()
    idm: IdmConfig = IdmConfig()
    label: LabelConfig = LabelConfig()
    replay: ReplayConfig = ReplayConfig()
    curate: CurateConfig = CurateConfig()
    rounds: RoundsConfig = RoundsConfig()
    cost: CostConfig = CostConfig()
    webhook: str | None = None
    """URL that gets a Slack-compatible message when the workflow ends."""

    @field_validator("webhook")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://", value):
            raise ValueError("must start with http:// or https://")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if self.time.row_for_row and self.time.stride not in (None, 1):
            raise ValueError("time.row_for_row takes every row: remove time.stride")
        if self.source.tasks and len(self.source.tasks) != len(self.source.files):
            count = len(self.source.files)
            raise ValueError(f"source.tasks has {len(self.source.tasks)} entries for {count} files: give one per file")
        return self


def parse_config(text: str | bytes, where: str) -> RunConfig:
    """Parse YAML (or JSON) text. Raises InputError that lists every error with its field."""
    data = mapping(text, where, "start from `leicos init FILE.hdf5`")
    if gone := list(former(data)):
        names = ", ".join(f"{section}.{name}" for section, name in gone)
        instead = ", ".join(dict.fromkeys(INSTEAD[section] for section, _ in gone))
        raise InputError(
            f"{where}: {names}: there are no shards any more, each pod takes one sample after the other",
            fix=f"remove it; {instead} may say what you want",
        )
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        raise InputError(
            f"{where}: {error.error_count()} error(s) in the configuration\n" + describe_errors(error),
            fix="correct these fields; `leicos config --schema` lists all of them",
        ) from None
    for task in (config.source.task, *config.source.tasks, *config.plan.prompts):
        if task is not None and (problem := sentence_problem(task)):
            fix = "write what the robot does, e.g. Lift the red cube up."
            raise InputError(f"{where}: a text of source.task, source.tasks or plan.prompts {problem}", fix=fix)
    if not is_file(config.source.robot):
        embodiment(config.source.robot)
    require_fit(config.plan.workers, 2 * config.replay.workers, where)
    if wrong := list(not_writable(config.model_dump())):
        raise InputError(
            f"{where}: a NUL or half a character (a lone surrogate) in {', '.join(wrong)}",
            fix=r"correct the escape (\0, \uD800-\uDFFF)",
        )
    return config


def load_config(path: Path, files: Sequence[str] = ()) -> RunConfig:
    """Read a configuration file; relative source paths resolve against its folder. `files` replace its own.

    Raises InputError.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", fix="name a configuration file") from None
    config = parse_config(text, str(path))
    found = tuple(files) or tuple(_resolved(name, path.parent) for name in config.source.files)
    robot = config.source.robot
    changes = {"files": found, "robot": _resolved(robot, path.parent) if is_file(robot) else robot}
    return config.model_copy(update={"source": config.source.model_copy(update=changes)})


def _resolved(name: str, folder: Path) -> str:
    """A source as it is if it names a store or is absolute, else relative to the configuration's folder."""
    if re.match(r"[a-z0-9]+:", name) or Path(name).is_absolute():
        return name
    return str((folder / name).resolve())
