"""The part of Argo's Workflow that is implemented here, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Backoff:
    """Seconds to wait before a retry: duration x factor^(retry - 1), at most cap."""

    duration: float
    factor: int | None = None
    cap: float | None = None

    def wait(self, failures: int) -> float:
        """Seconds between the end of an attempt and the next, after this many failed attempts."""
        seconds = self.duration * float(self.factor) ** (failures - 1) if self.factor else self.duration
        return seconds if self.cap is None else min(seconds, self.cap)


@dataclass(frozen=True)
class Retry:
    """retryStrategy. `limit` None means without limit; `policy` is Always, OnFailure or OnError."""

    limit: int | None
    policy: str
    expression: str | None = None
    backoff: Backoff | None = None


@dataclass(frozen=True)
class Input:
    """An input parameter and its default."""

    name: str
    default: str | None = None


@dataclass(frozen=True)
class Output:
    """An output parameter: the file it is read from, and what stands for a file or a task that is not there."""

    name: str
    path: str
    default: str | None = None


@dataclass(frozen=True)
class Task:
    """A task of a DAG. `home` and `template` name what it runs."""

    name: str
    home: str
    template: str
    arguments: dict[str, str] = field(default_factory=dict)
    depends: str = ""
    when: str = ""
    with_param: str | None = None
    with_items: tuple[Any, ...] | None = None

    @property
    def loops(self) -> bool:
        """Whether the task is expanded into one for each item."""
        return self.with_param is not None or self.with_items is not None


@dataclass(frozen=True)
class Container:
    """What a pod runs."""

    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A template: a container, or a DAG of tasks. `home` is the manifest that defines it."""

    home: str
    name: str
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    container: Container | None = None
    tasks: tuple[Task, ...] = ()
    fail_fast: bool = True
    parallelism: int | None = None
    deadline: float | None = None
    retry: Retry | None = None

    def task(self, name: str) -> Task:
        """A task by its name."""
        return next(task for task in self.tasks if task.name == name)


@dataclass(frozen=True)
class Workflow:
    """A Workflow or WorkflowTemplate. A parameter without a value is None and must be given."""

    name: str
    entrypoint: str | None
    on_exit: str | None
    parameters: dict[str, str | None]
    templates: dict[str, Template]
    parallelism: int | None = None
    deadline: float | None = None
