"""Where several engines judged, the score says where they disagree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from leicos_jobs.backends.panel import combine
from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.judge import score


def replayed(success: bool) -> ReplayMetrics:
    return ReplayMetrics(success=success, success_held=success, max_lift=0.1, tracking_error_deg=1.0)


def sample(name: str, metrics: ReplayMetrics | None) -> Any:
    return SimpleNamespace(state=SimpleNamespace(sample=SimpleNamespace(id=name), metrics=metrics))


def test_who_says_what_of_which_sample() -> None:
    said = {"a": (True, True), "b": (True, False), "c": (False, False)}
    samples = [
        sample(name, combine({"mujoco": replayed(one), "physx": replayed(two)}, agree=2))
        for name, (one, two) in said.items()
    ]
    table = score.engine_table([*samples, sample("not replayed", None)])
    assert {name: (part["successes"], part["count"]) for name, part in table["labels"].items()} == {
        "mujoco": (2, 3),
        "physx": (1, 3),
    }
    assert table["disagree"] == {"b": {"mujoco": True, "physx": False}}
    assert score.engine_table([sample("alone", replayed(True))]) == {}
