"""Backends by kind and name, found through entry points so that others can add theirs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from pydantic import BaseModel, ValidationError

from leicos_jobs.backends import base
from leicos_jobs.backends.base import Kind
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors

Made_co = TypeVar("Made_co", covariant=True)

_BASES: dict[Kind, type[base.Backend[Any]]] = {
    "generate": base.Generator,
    "post_train": base.PostTrainer,
    "critic": base.Critic,
    "train": base.Trainer,
    "label": base.Labeller,
    "replay": base.Replayer,
}


def installed(kind: Kind) -> list[str]:
    """Names of the backends installed of a kind."""
    return sorted({entry.name for entry in entry_points(group=f"leicos.{kind}")})


@overload
def load(kind: Literal["generate"], name: str) -> type[base.Generator[Any]]: ...
@overload
def load(kind: Literal["post_train"], name: str) -> type[base.PostTrainer[Any]]: ...
@overload
def load(kind: Literal["critic"], name: str) -> type[base.Critic[Any]]: ...
@overload
def load(kind: Literal["train"], name: str) -> type[base.Trainer[Any]]: ...
@overload
def load(kind: Literal["label"], name: str) -> type[base.Labeller[Any]]: ...
@overload
def load(kind: Literal["replay"], name: str) -> type[base.Replayer[Any]]: ...
@overload
def load(kind: Kind, name: str) -> type[base.Backend[Any]]: ...
def load(kind: Kind, name: str) -> type[base.Backend[Any]]:
    """The backend class. Raises InputError naming the installed ones, or the extra that a known one needs, or the base
    class that a foreign one must have."""
    for entry in entry_points(group=f"leicos.{kind}"):
        if entry.name == name:
            try:
                backend = entry.load()
            except ImportError as error:
                raise InputError(
                    f"{kind} backend {name!r} cannot be loaded: {error}",
                    fix="install the extra it needs, e.g. pip install 'leicos[torch,mujoco]'",
                ) from error
            wanted = _BASES[kind]
            if not (isinstance(backend, type) and issubclass(backend, wanted)):
                raise InputError(
                    f"{kind} backend {name!r} ({entry.value}) is not a {wanted.__name__}",
                    fix=f"derive it from {wanted.__module__}.{wanted.__name__}",
                )
            return backend
    raise InputError(f"unknown {kind} backend {name!r}", fix=f"installed: {', '.join(installed(kind)) or 'none'}")


def settings(kind: Kind, name: str, given: dict[str, Any]) -> BaseModel:
    """The backend's own settings model, filled. Raises InputError that lists all errors."""
    model = load(kind, name).Settings
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InputError(
            f"settings of {kind} backend {name!r}:\n" + describe_errors(error),
            fix=f"known settings: {', '.join(model.model_fields) or 'none'}",
        ) from None


@dataclass(frozen=True)
class BackendSpec(Generic[Made_co]):
    """How a process makes its backend: `module:name` called with `arguments`."""

    target: str
    arguments: dict[str, Any]

    @classmethod
    def of(cls, made: Callable[..., Made_co], **arguments: Any) -> BackendSpec[Made_co]:
        """The spec of a class."""
        return cls(f"{made.__module__}:{made.__qualname__}", arguments)

    def make(self) -> Made_co:
        """Construct it (loads the model)."""
        module, _, name = self.target.partition(":")
        made: Made_co = getattr(importlib.import_module(module), name)(**self.arguments)
        return made


def spec(kind: Kind, name: str, given: dict[str, Any], *, work: Path, **paths: Path | None) -> BackendSpec[Any]:
    """How a process makes this backend. given: its settings, as configured. work: its folder, made here. paths: what
    its kind takes besides (`checkpoint`, `artifact`). Raises InputError, see `load` and `settings`."""
    work.mkdir(parents=True, exist_ok=True)
    return BackendSpec.of(load(kind, name), settings=settings(kind, name, given), work=work, **paths)
