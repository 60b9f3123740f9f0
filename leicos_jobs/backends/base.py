"""What a backend of each heavy stage must be.

A backend is a class named in an entry point (`leicos.generate`, `leicos.label`, `leicos.replay`, `leicos.train`). The
worker loop (`leicos_jobs.work.worker`) constructs it once a process, in a child process of its own, and hands it
batches of requests; the backend yields a result for each, in any order, as soon as it is finished. It may raise at
any time: the parent then knows which samples are still open and blames the one that was announced by `started`.

Truth never reaches a labeller: a `LabelRequest` has a video and a seed, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

Started = Callable[[str], None]
"""Call with a request's `sample` when work on it begins: whoever dies then, that sample is blamed."""


@dataclass(frozen=True)
class GenerateRequest:
    """One video to make.

    sample: id, 20 hex digits. prompt: text as the generator was trained with. seed: its seed.
    clip: mp4 (H.264) of the first `conditioning` frames, rows row0 ... row0+4*stride of the demo.
    start: simulator state at row0 as in LeIsaac's `states` groups: path -> list of floats, e.g.
        `articulation/robot/joint_position` -> 6, `rigid_object/cube/root_pose` -> 7 (xyz, quaternion wxyz).
    fps: of the dataset; the video must carry it. frames: how many the video must have. width, height in pixels.
    out_dir: empty folder to write into. demo_name, row0: which demo, and the HDF5 row in output frame 0.
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
    demo: Path | None = None
    demo_actions: NDArray[np.float32] | None = None
    demo_first: int = 0


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
    """One video to label. `seed` derives from the sample's id, so batch, shard and retry do not change labels."""

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


@dataclass(frozen=True)
class ReplayResult:
    """`metrics` has at least: success (bool, the task's own rule at any step), success_held (bool), max_lift (m),
    tracking_error_deg (float); means over repeats where there are several, with `repeats` and `success_rate`. All but
    tracking_error_deg are None where the backend has no rule for the task: success is then unknown."""

    sample: str
    metrics: dict[str, Any]


class Backend(Protocol):
    """Common to all.

    The class's module must import without torch, mujoco and the like (they are imported when it is constructed):
    planning and status read `version` and `Settings` in the CPU image. `version` rises whenever the same request would
    give another result. `Settings` is a frozen pydantic model (unknown keys refused); values that differ from the
    defaults enter every identity, so a changed default must raise `version`.

    Optional class attribute `run_ahead`: go on while a result is being committed. It is for backends that work on
    several requests at once and would stand still; a kill then costs them more than one sample.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    upstream: ClassVar[str]
    """Upstream commit the backend is written against; empty if none."""
    batch: int
    """Requests it wants at a time."""
    Settings: ClassVar[type[BaseModel]]


class Generator(Backend, Protocol):
    """generate: clip + prompt + seed -> video.

    Optional class attributes: `trained` (it needs the post-train stage), `needs_demo` (see GenerateRequest), and
    `seeds_a_sample(settings, frames)`: how far apart the seeds of one start must stand (Cosmos: its chunks).
    """

    def __init__(self, settings: BaseModel, checkpoint: Path | None, work: Path) -> None: ...

    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield a result for each request, in any order, as soon as it is finished."""
        ...


class Labeller(Backend, Protocol):
    """label: video -> actions, by an IDM artifact (a folder)."""

    def __init__(self, settings: BaseModel, artifact: Path, work: Path) -> None: ...

    def process(self, requests: Sequence[LabelRequest], started: Started) -> Iterator[LabelResult]:
        """Yield a result for each request, in any order, as soon as it is finished."""
        ...


class Replayer(Backend, Protocol):
    """replay: start state + actions -> success and metrics."""

    def __init__(self, settings: BaseModel, work: Path) -> None: ...

    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Yield a result for each request, in any order, as soon as it is finished."""
        ...


@dataclass(frozen=True)
class TrainRequest:
    """dataset: LeRobot v2.1 folder. train: indices of the episodes to train on. out: folder for the artifact (model and
    `artifact.json`). resume: folder kept between attempts, for checkpoints. report: called with (done, total)."""

    dataset: Path
    camera: str
    train: Sequence[int]
    seed: int
    out: Path
    resume: Path
    report: Callable[[int, int], None]
    size: tuple[int, int] | None = None
    """(width, height) that generation will use, for post-training."""


class Trainer(Backend, Protocol):
    """train-idm: dataset -> artifact folder that the Labeller of the same name loads."""

    def __init__(self, settings: BaseModel, work: Path) -> None: ...

    def train(self, request: TrainRequest) -> dict[str, Any]:
        """Train and write the artifact; return facts for the report (losses, seconds)."""
        ...
