"""What a backend of each heavy stage must be: all there is to know for those who write one.

A backend is a class named in an entry point of its kind's group:

| group | base class | stage |
|---|---|---|
| `leicos.generate` | `Generator` | generate: clip + prompt + seed -> video |
| `leicos.post_train` | `PostTrainer` | post-train: the checkpoint of the generator of the same name |
| `leicos.critic` | `Critic` | gate: video + task -> scores; only where `gate.critic` names one |
| `leicos.train` | `Trainer` | train-idm: dataset -> IDM artifact |
| `leicos.label` | `Labeller` | label: video -> actions, by the artifact of the trainer of the same name |
| `leicos.replay` | `Replayer` | replay: start state + actions -> success and metrics |

    class MyGenerator(Generator[MySettings], name="mine", version=1, needs_demo=True):
        def process(self, requests, started): ...

What a backend is stands in its class's head, where a misspelt member is an error of types and of the import; mark what
you override with `typing_extensions.override`, and the same holds for methods. Every optional member has its default
here.

The class's module must import without torch, mujoco and the like (they are imported when it is constructed): planning
and status read `version` and `Settings` in the CPU image. The worker loop (`leicos_jobs.work.worker`) constructs a
backend once per process, in a child process of its own, and hands it batches of requests; the backend yields a result
for each, in any order, as soon as it is finished. It may raise at any time: the parent then knows which samples are
still open and blames the one that was announced by `started`.

Truth never reaches a labeller: a `LabelRequest` has a video and a seed, nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Required, TypedDict, TypeVar, Unpack, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from leicos_jobs.backends import requests
from leicos_jobs.core.errors import DefectError
from leicos_jobs.robots.embodiment import Embodiment

Kind = Literal["generate", "post_train", "critic", "train", "label", "replay"]
"""The kinds of backends; `leicos.KIND` is the group of its entry points."""
KINDS: tuple[Kind, ...] = get_args(Kind)

Started = Callable[[str], None]
"""Call with a request's `sample` when work on it begins: if the process dies then, that sample is blamed."""


class Settings(BaseModel):
    """Base of a backend's settings, and of what they are made of: frozen, and no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Head(TypedDict, total=False):
    """What stands in the head of every backend's class."""

    name: Required[str]
    version: Required[int]
    upstream: str


class SampleHead(Head, total=False):
    """Besides in the head of one that the worker loop hands samples."""

    batch: int
    run_ahead: bool
    lifetime: int | None


S = TypeVar("S", bound=BaseModel)
Request = TypeVar("Request")
Result = TypeVar("Result")


class Processor(ABC, Generic[Request, Result]):
    """What a worker's child process drives: requests in, results out."""

    batch: int = 1
    """Requests it wants at a time; may depend on the settings."""
    run_ahead: bool = False
    """Whether it goes on while a result is being committed. It is for those that work on several requests at once and
    would stand still; a kill then costs them more than one sample."""
    lifetime: int | None = None
    """Requests after which, at a batch's end, a new process takes its place: for a library that keeps memory."""

    @abstractmethod
    def process(self, requests: Sequence[Request], started: Started) -> Iterator[Result]:
        """Yield a result for each request, in any order, as soon as it is finished."""

    def close(self) -> None:
        """End what it started; it is not used any more."""


class Backend(ABC, Generic[S]):
    """Common to all, generic in its settings: a frozen pydantic model that refuses unknown keys and has a default for
    each field, or says which one is required. Values that differ from the defaults enter every identity, so a changed
    default must raise `version`; fields with `exclude` change speed or place only and stay out.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Rises whenever the same request would give another result."""
    upstream: ClassVar[str]
    """Upstream commit that it is written against; empty if none."""
    Settings: ClassVar[type[BaseModel]]
    """The model that it is generic in."""

    def __init_subclass__(cls, *, name: str, version: int, upstream: str = "") -> None:
        """What stands in the class's head. name: empty for a kind of backends."""
        super().__init_subclass__()
        cls._say(name=name, version=version, upstream=upstream)
        for base in getattr(cls, "__orig_bases__", ()):
            for model in get_args(base):
                if isinstance(model, type) and issubclass(model, BaseModel):
                    cls.Settings = model

    @classmethod
    def _say(cls, **members: Any) -> None:
        for member, value in members.items():
            if member in vars(cls):
                raise TypeError(f"{cls.__qualname__}.{member}: say it in the class's head, {member}=...")
            setattr(cls, member, value)

    def __init__(self, settings: S, work: Path) -> None:
        """work: a folder of its own, empty. Settings of another backend are refused, not translated: fields that stay
        out of identities would be lost."""
        if not isinstance(settings, self.Settings):
            raise DefectError(f"{self.name} was given {type(settings).__name__}, not {self.Settings.__name__}")
        self.settings = settings
        self.work = work

    @classmethod
    def identity(cls, settings: S) -> dict[str, Any]:
        """The settings that determine a result, for ids and keys: all that differ from their defaults."""
        return settings.model_dump(mode="json", exclude_defaults=True)


class SampleBackend(Backend[S], Processor[Request, Result], name="", version=0):
    """Common to those that the worker loop hands samples. batch, run_ahead, lifetime: see `Processor`."""

    def __init_subclass__(
        cls, *, batch: int = 1, run_ahead: bool = False, lifetime: int | None = None, **head: Unpack[Head]
    ) -> None:
        super().__init_subclass__(**head)
        cls._say(batch=batch, run_ahead=run_ahead, lifetime=lifetime)


class Generator(SampleBackend[S, requests.GenerateRequest, requests.GenerateResult], name="", version=0):
    """generate: clip + prompt + seed -> video.

    trained: it needs the post-train stage. needs_demo: it wants the whole real episode, see `GenerateRequest`.
    needs_states: it starts from the simulator's state, which not every source has.
    """

    trained: ClassVar[bool]
    needs_demo: ClassVar[bool]
    needs_states: ClassVar[bool]

    def __init_subclass__(
        cls,
        *,
        trained: bool = False,
        needs_demo: bool = False,
        needs_states: bool = False,
        **head: Unpack[SampleHead],
    ) -> None:
        super().__init_subclass__(**head)
        cls._say(trained=trained, needs_demo=needs_demo, needs_states=needs_states)

    def __init__(self, settings: S, checkpoint: Path | None, work: Path) -> None:
        """checkpoint: folder that post-train published; None for a generator that is not trained."""
        super().__init__(settings, work)

    @classmethod
    def seeds_per_sample(cls, settings: S, frames: int) -> int:
        """How far apart the seeds of one start must stand (Cosmos: one per chunk of a video of `frames` frames)."""
        return 1

    @classmethod
    def is_trained(cls, settings: S) -> bool:
        """Whether it needs the post-train stage with these settings."""
        return cls.trained

    @classmethod
    def folders(cls, settings: S) -> tuple[str, ...]:
        """Folders outside the run from which its videos come: what changes in them makes another plan."""
        return ()

    @classmethod
    def shared_files(cls, settings: S, prompt: str) -> tuple[str, ...]:
        """Names, below its folder `work`, of files that a video of this prompt needs and that it makes where they are
        not there or damaged. The run keeps them for other workers, so a name says all that determines its file."""
        return ()

    @classmethod
    def lines(cls, settings: S) -> Sequence[requests.PlanLine] | None:
        """The samples themselves, where it has only those; None: it makes what is asked. Raises InputError."""
        return None

    @classmethod
    def check_run(cls, settings: S, frames: int, width: int, height: int) -> None:
        """Raises InputError if it cannot make videos of this length and size (pixels) with these settings."""


class PostTrainer(Backend[S], name="", version=0):
    """post-train: dataset -> checkpoint folder for the generator of the same name; its settings are the generator's.

    holds_out: it trains without the demos that the split holds out, and measures itself on them.
    """

    holds_out: ClassVar[bool]

    def __init_subclass__(cls, *, name: str, version: int, upstream: str = "", holds_out: bool = False) -> None:
        super().__init_subclass__(name=name, version=version, upstream=upstream)
        cls._say(holds_out=holds_out)

    @classmethod
    @abstractmethod
    def identity(cls, settings: S) -> dict[str, Any]:
        """The settings that determine the checkpoint: those of the generation do not."""

    @abstractmethod
    def train(self, request: requests.PostTrainRequest) -> requests.TrainResult:
        """Train and write the checkpoint."""


class Critic(SampleBackend[S, requests.CriticRequest, requests.CriticResult], name="", version=0):
    """A vision-language model's opinion of a generated video, between gate and label. None is on by default.

    `gate.critic` in the configuration switches one on. It sees the video and the task text, never truth, and only
    videos that the gate's own checks let through. Its scores go into the gate's record; thresholds are the
    configuration's, not the critic's. scores: the names of all scores that it gives.
    """

    scores: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, *, scores: tuple[str, ...] = (), **head: Unpack[SampleHead]) -> None:
        super().__init_subclass__(**head)
        cls._say(scores=scores)


class Trainer(Backend[S], name="", version=0):
    """train-idm: dataset -> artifact folder that the Labeller of the same name loads."""

    @abstractmethod
    def train(self, request: requests.TrainRequest) -> requests.TrainResult:
        """Train and write the artifact."""


class Labeller(SampleBackend[S, requests.LabelRequest, requests.LabelResult], name="", version=0):
    """label: video -> actions, by an IDM artifact."""

    def __init__(self, settings: S, artifact: Path, work: Path) -> None:
        """artifact: the folder that the Trainer wrote, or one taken over."""
        super().__init__(settings, work)


class Replayer(SampleBackend[S, requests.ReplayRequest, requests.ReplayResult], name="", version=0):
    """replay: start state + actions -> success and metrics."""

    @classmethod
    def judges(cls, settings: S) -> bool:
        """Whether it knows the task's rule; without one success is None."""
        return True

    @classmethod
    def cannot(cls, settings: S, robot: Embodiment, states: bool) -> str | None:
        """Why it cannot replay demos of this robot whose source has the simulator's states, or has not; None if it
        can. Their samples are then not replayed, and the report says why."""
        return None if states else "the source has no simulator states to start from"

    def film(
        self, request: requests.ReplayRequest, size: tuple[int, int], every: int
    ) -> Iterator[NDArray[np.uint8]] | None:
        """Pictures of a replay for people, (height, width, 3) RGB: before each `every`-th control step of its actions,
        so that picture k shows row k of the labels. size: (width, height). None if it draws none."""
        return None
