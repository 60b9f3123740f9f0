"""What backends are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment

CONDITIONING_ACTIONS = "conditioning/actions"
"""Entry of a start's state: the demo's own actions between the frames of the clip, as recorded, one control step after
the other."""


@dataclass(frozen=True)
class GenerateRequest:
    """One video to make.

    sample: id, 20 hex digits. prompt: text as the generator was trained with. seed: its seed.
    clip: mp4 (H.264) of the first `conditioning` frames, rows row0 ... row0+4*stride of the demo.
    start: simulator state at row0 as in LeIsaac's `states` groups: path -> list of floats, e.g.
        `articulation/robot/joint_position` -> 6, `rigid_object/cube/root_pose` -> 7 (xyz, quaternion wxyz).
    fps: of the dataset; the video must carry it. frames: how many the video must have. width, height in pixels.
    out_dir: empty folder to write into. demo_name, row0: which demo, and the HDF5 row in output frame 0.
    outside: digests, by name, of what its plan line takes from outside the run.
    demo, demo_actions, demo_first: only for backends with `needs_demo`: mp4 of the whole real episode, its (T, width)
    float32 actions in motor units, and the index in both of the frame at row0.
    """

    sample: str
    prompt: str
    seed: int
    clip: Path
    start: dict[str, list[float]]
    fps: float
    frames: int
    width: int
    height: int
    out_dir: Path
    demo_name: str = ""
    row0: int = 0
    outside: dict[str, str] = field(default_factory=dict)
    demo: Path | None = None
    demo_actions: NDArray[np.float32] | None = None
    demo_first: int = 0


@dataclass(frozen=True)
class PlanLine:
    """One sample of a generator that has only those. where: its line, for errors. demo, source: name of the demo, and
    the end of its file's name where several files have such a demo. row0: None for the demo's first row. frames: of the
    video. task: text; None for the demo's own. outside: digests, by name, of what determines the video; they are part
    of the sample's id."""

    where: str
    demo: str
    seed: int
    frames: int
    outside: dict[str, str]
    row0: int | None = None
    source: str = ""
    task: str | None = None


@dataclass(frozen=True)
class GenerateResult:
    """A finished video. `truth`: columns only generators that know them give, kept apart from every labeller:
    `action` (frames, width) float32 motor units, `observation.state` likewise, both at the dataset's fps, and
    optionally `action_full` (n, width) at control_hz. `notes` goes into the commit record (planted defect is a truth,
    not a note)."""

    sample: str
    video: Path
    truth: dict[str, NDArray[np.float32]] | None = None
    truth_facts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelRequest:
    """One video to label. seed: derives from the video's bytes and the run's IDM seed, so that neither batch, worker,
    retry nor name change a label, and equal videos get equal labels."""

    sample: str
    video: Path
    seed: int


@dataclass(frozen=True)
class LabelResult:
    """`actions`: (frames, width) float32 motor units, row k belongs to video frame k."""

    sample: str
    actions: NDArray[np.float32]
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ReplayRequest:
    """One episode to replay. `start` as in GenerateRequest. `actions`: (n, width) float32 motor units at control_hz,
    already interpolated; the last one is held for `hold` more steps. `repeats` where the simulator is random."""

    sample: str
    start: dict[str, list[float]]
    actions: NDArray[np.float32]
    control_hz: float
    hold: int
    repeats: int = 1
    seed: int = 0

    def require_actions(self, width: int) -> NDArray[np.float32]:
        """The actions. Raises InputError unless they are (n, width) finite numbers."""
        actions = np.asarray(self.actions, dtype=np.float32)
        if actions.ndim != 2 or actions.shape[1] != width or not len(actions) or not np.isfinite(actions).all():
            what = f"actions of shape {actions.shape} are not (n, {width}) finite numbers"
            raise InputError(f"sample {self.sample}, replay: {what}", fix="check the label stage's output")
        return actions


STAGES_OWN = frozenset({"artifact", "train", "held_out", "imported"})
"""Facts of a training stage's record that are not the trainer's to give: they would be lost."""


class Facts(BaseModel):
    """What a backend says for the record; it may add others, which stand there as they are."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    def facts(self) -> dict[str, Any]:
        """As records have them: what the backend gave, defaults left out."""
        return self.model_dump(exclude_unset=True)


class ReplayMetrics(Facts):
    """What a replay measured; over several repeats means, and success by majority. None: not known, for lack of a rule
    for the task."""

    success: bool | None
    """The task's own rule at any step."""
    success_held: bool | None
    """Whether it held, as the task or the backend says."""
    success_rate: float | None = None
    """Share of the repeats that succeeded."""
    repeats: int = 1
    max_lift: float | None
    """m; the largest rise of the task's object."""
    first_grasp_row: int | None = None
    """Control step of the first grasp; the median over repeats."""
    tracking_error_deg: float
    """Degrees RMS of the arm's joints against their targets, without the gripper."""
    gripper_error_deg: float | None = None
    limit_clip_share: float | None = None
    """Share of the steps in which a target was beyond a joint's limits."""
    final_joint_pos: list[float] | None = None
    """rad, at the end of the hold."""
    engines: dict[str, dict[str, Any]] | None = None
    """Where several engines judged: name -> what that one measured."""


@dataclass(frozen=True)
class ReplayResult:
    """What came of one episode."""

    sample: str
    metrics: ReplayMetrics


@dataclass(frozen=True)
class CriticRequest:
    """One video to judge. task: what the robot should be doing, as prose. seed: derives from the video's bytes."""

    sample: str
    video: Path
    task: str
    seed: int


@dataclass(frozen=True)
class CriticResult:
    """`scores`: name -> 0..1, 1 is good, e.g. physics, task. `notes` (the model's words) go into the record."""

    sample: str
    scores: dict[str, float]
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainRequest:
    """dataset: LeRobot v2.1 folder. robot: whose actions and states it holds. train: indices of the
    episodes to train on. out: folder for the artifact (model and `artifact.json`). resume: folder kept between
    attempts, for checkpoints. report: called with (done, total)."""

    dataset: Path
    robot: Embodiment
    camera: str
    train: Sequence[int]
    seed: int
    out: Path
    resume: Path
    report: Callable[[int, int], None]


@dataclass(frozen=True)
class PostTrainRequest:
    """dataset: folder in the generator's own layout, as `leicos cosmos-dataset` writes it. size: (width, height) in
    pixels of the videos that will be generated. held_out: numbers N of the clips videos/N.mp4 that a trainer with
    `holds_out` does not train on. The others as in TrainRequest."""

    dataset: Path
    size: tuple[int, int]
    seed: int
    out: Path
    resume: Path
    report: Callable[[int, int], None]
    held_out: tuple[int, ...] = ()


class TrainResult(Facts):
    """What a training says of itself."""

    gpus: int = Field(1, ge=1)
    """How many it worked on, for the hours that the status counts."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """s that its parts took."""

    @model_validator(mode="after")
    def _leave_the_stages_own(self) -> Self:
        if taken := sorted(STAGES_OWN & self.model_fields_set):
            raise ValueError(f"{', '.join(taken)}: the stage says that itself")
        return self
