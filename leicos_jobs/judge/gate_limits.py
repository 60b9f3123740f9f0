"""Which scores refuse a video: limits relative to the scores of the source's own videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leicos_jobs.run import calibration
from leicos_jobs.run.chain import State
from leicos_jobs.run.config_gate import GateCheck, GateConfig
from leicos_jobs.run.results import Results

Limits = dict[str, tuple[float, float]]
"""Score -> the lowest and the highest value that pass."""
INF = float("inf")


@dataclass(frozen=True)
class Verdict:
    """`reasons` is empty if the video passed; `scores` are the numbers that were compared."""

    reasons: list[str]
    scores: dict[str, float]


def limits(source: Mapping[str, Sequence[float]], config: GateConfig) -> Limits:
    """Limits by the source's scores, name -> one number per real video; a score that none of them has gets none.

    The 5th and 95th percentile stand for the source's least and most: one odd demo moves no limit.
    """
    rules: dict[str, Callable[[float, float], tuple[float, float]]] = {
        "start_psnr": lambda _low, _high: (config.start_psnr_min, INF),
        "contrast": lambda low, _: (config.contrast_min * low, INF),
        "detail_most": lambda _, high: (0.0, config.detail_max * high),
        "detail_least": lambda low, _: (config.detail_min * low, INF),
        "flicker": lambda _, high: (0.0, high + config.flicker_max),
        "motion": lambda low, _: (config.motion_min * low, INF),
        "moving_s": lambda low, _: (config.moving_min * low, INF),
        "still_s": lambda _, high: (0.0, high + config.still_max),
        "jump": lambda _, high: (0.0, max(1.0, config.jump_max * high)),
        "least": lambda low, _: (config.least_min * low, INF),
        "most": lambda _, high: (0.0, config.most_max * high),
    }
    made = {}
    for name, values in source.items():
        rule = rules[_kind(name)]
        made[name] = rule(float(np.percentile(values, 5)), float(np.percentile(values, 95)))
    return made


def judge(scores: Mapping[str, float], allowed: Limits, checks: Sequence[GateCheck]) -> Verdict:
    """Compare a video's scores with the limits."""
    outside = {_kind(name) for name, value in scores.items() if name in allowed and not _within(value, allowed[name])}
    reasons: dict[str, bool] = {
        "start-frame": "start_psnr" in outside,
        "flat": "contrast" in outside,
        "noise": "detail_most" in outside,
        "melted": "detail_least" in outside,
        "flicker": "flicker" in outside,
        # a demo that is over holds its last picture: a standstill counts where motion is missing
        "static": "motion" in outside or {"still_s", "moving_s"} <= outside,
        "jump": "jump" in outside,
        "vanished": "least" in outside,
        "doubled": "most" in outside,
    }
    refused: list[str] = [name for name in checks if reasons[name]]
    return Verdict(refused, {name: round(value, 4) for name, value in scores.items()})


def gathered(videos: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Scores of several videos, by name: what `limits` takes."""
    names = dict.fromkeys(name for video in videos for name in video)
    return {name: [round(video[name], 4) for video in videos if name in video] for name in names}


def _kind(name: str) -> str:
    """Of a score: those of the colours are of one kind."""
    head = name.partition("_")[0]
    return head if head in ("least", "most") else name


def _within(value: float, limit: tuple[float, float]) -> bool:
    return limit[0] <= value <= limit[1]


def gate_scores(results: Results, states: Sequence[State]) -> dict[str, Any]:
    """Each score of the gate: the source's videos, those that passed and those refused, and the limits (None: none)."""
    known = calibration.find(results)
    allowed = limits(known.scores, results.config.gate) if known else {}
    made = [state for state in states if state.gate is not None]
    table: dict[str, Any] = {}
    for name in dict.fromkeys(name for state in made if state.gate for name in state.gate.facts["scores"]):
        sides: dict[str, list[float]] = {"passed": [], "refused": []}
        for state in made:
            if state.gate is not None and name in state.gate.facts["scores"]:
                sides["passed" if state.refused is None else "refused"].append(state.gate.facts["scores"][name])
        ends = [value if np.isfinite(value) else None for value in allowed.get(name, (-INF, INF))]
        table[name] = sides | {"source": known.scores.get(name, []) if known else [], "limits": ends}
    return table
