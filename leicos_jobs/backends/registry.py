"""Backends by name, found through entry points so that others can add theirs."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors

STAGES = ("generate", "critic", "label", "replay", "train")


def installed(stage: str) -> list[str]:
    """Names of the backends installed for a stage."""
    return sorted({entry.name for entry in entry_points(group=f"leicos.{stage}")})


def load(stage: str, name: str) -> Any:
    """The backend class. Raises InputError naming the installed ones, or the extra that a known one needs."""
    for entry in entry_points(group=f"leicos.{stage}"):
        if entry.name == name:
            try:
                return entry.load()
            except ImportError as error:
                raise InputError(
                    f"{stage} backend {name!r} cannot be loaded: {error}",
                    fix="install the extra it needs, e.g. pip install 'leicos[torch,mujoco]'",
                ) from error
    raise InputError(f"unknown {stage} backend {name!r}", fix=f"installed: {', '.join(installed(stage)) or 'none'}")


def settings(stage: str, name: str, given: dict[str, Any]) -> BaseModel:
    """The backend's own settings model, filled. Raises InputError that lists all errors."""
    backend = load(stage, name)
    try:
        model: BaseModel = backend.Settings.model_validate(given)
    except ValidationError as error:
        raise InputError(
            f"settings of {stage} backend {name!r}:\n" + describe_errors(error),
            fix=f"known settings: {', '.join(backend.Settings.model_fields) or 'none'}",
        ) from None
    return model
