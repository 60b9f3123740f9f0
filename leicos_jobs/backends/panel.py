"""Replay in several engines, which must agree: success is what enough of them say, and each one's word is kept.

The numbers beside success are the first engine's. An engine is any installed replay backend that runs in this image; a
sample for which one of them raises fails as it would under that one alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator
from typing_extensions import override

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Replayer, Settings, Started
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest, ReplayResult
from leicos_jobs.core.errors import InputError
from leicos_jobs.robots.embodiment import Embodiment


class PanelSettings(Settings):
    """Who judges, and how many must agree."""

    engines: dict[str, dict[str, Any]] = Field(min_length=2)
    """Replay backends with their settings, e.g. {mujoco: {}, physx: {accept_licence: true}}. The numbers beside success
    are the first one's."""
    agree: int | None = Field(None, ge=1)
    """How many must see success for it to count; unset: all."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if "panel" in self.engines:
            raise ValueError("engines: a panel cannot judge in a panel")
        if self.agree is not None and self.agree > len(self.engines):
            raise ValueError(f"agree: {self.agree} of {len(self.engines)} engines cannot be")
        try:
            self.filled()
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    def filled(self) -> dict[str, BaseModel]:
        """Each engine's own settings model. Raises InputError that names the field."""
        return {name: registry.settings("replay", name, given) for name, given in self.engines.items()}


class PanelReplayer(Replayer[PanelSettings], name="panel", version=1, batch=16):
    """Replayer that asks several."""

    def __init__(self, settings: PanelSettings, work: Path) -> None:
        """Construct each engine. Raises what they raise."""
        super().__init__(settings, work)
        self._engines: dict[str, Replayer[Any]] = {
            name: registry.spec("replay", name, given, work=work / name).make()
            for name, given in settings.engines.items()
        }
        lifetimes = [engine.lifetime for engine in self._engines.values() if engine.lifetime is not None]
        self.lifetime = min(lifetimes, default=None)

    @override
    @classmethod
    def identity(cls, settings: PanelSettings) -> dict[str, Any]:
        """With each engine's version and upstream, which the run's identity has of the panel alone."""
        engines = []
        for name, filled in settings.filled().items():
            backend = registry.load("replay", name)
            engines.append([name, backend.version, backend.upstream, backend.identity(filled)])
        return {"engines": engines, "agree": settings.agree or len(engines)}

    @override
    @classmethod
    def judges(cls, settings: PanelSettings) -> bool:
        return all(registry.load("replay", name).judges(filled) for name, filled in settings.filled().items())

    @override
    @classmethod
    def cannot(cls, settings: PanelSettings, robot: Embodiment, states: bool) -> str | None:
        reasons = (
            registry.load("replay", name).cannot(filled, robot, states) for name, filled in settings.filled().items()
        )
        return next((reason for reason in reasons if reason is not None), None)

    @override
    def process(self, requests: Sequence[ReplayRequest], started: Started) -> Iterator[ReplayResult]:
        """Each request in each engine."""
        for request in requests:
            started(request.sample)
            said = {
                name: result.metrics
                for name, engine in self._engines.items()
                for result in engine.process([request], lambda sample: None)
            }
            yield ReplayResult(request.sample, combine(said, self.settings.agree or len(said)))

    @override
    def film(self, request: ReplayRequest, size: tuple[int, int], every: int) -> Iterator[NDArray[np.uint8]] | None:
        """Of the first engine that draws."""
        films = (engine.film(request, size, every) for engine in self._engines.values())
        return next((pictures for pictures in films if pictures is not None), None)

    @override
    def close(self) -> None:
        """End each engine."""
        for engine in self._engines.values():
            engine.close()


def combine(said: dict[str, ReplayMetrics], agree: int) -> ReplayMetrics:
    """The first engine's metrics with the panel's verdicts, and `engines`: name -> its own verdict and numbers. Success
    is None if no rule is known to one of them."""
    first = next(iter(said.values()))

    def verdict(values: list[bool | None]) -> bool | None:
        return None if None in values else sum(map(bool, values)) >= agree

    successes = [metrics.success for metrics in said.values()]
    verdicts: dict[str, Any] = {
        "success": verdict(successes),
        "success_held": verdict([metrics.success_held for metrics in said.values()]),
        "success_rate": None if None in successes else sum(map(bool, successes)) / len(successes),
        "engines": {name: metrics.facts() for name, metrics in said.items()},
    }
    return ReplayMetrics.model_validate(first.facts() | verdicts)
