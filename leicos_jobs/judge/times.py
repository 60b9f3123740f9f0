"""How long the stages took, for the result that stands: what an amended configuration left behind is not counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from leicos_jobs.core import stages
from leicos_jobs.run import layout
from leicos_jobs.run.chain import State
from leicos_jobs.run.measured import Timing, read_timing
from leicos_jobs.run.results import Results

ORDER = stages.COMMITTING


def by_stage(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Seconds per stage: sums over its processes, samples, and the seconds spent loading models."""
    totals: dict[str, dict[str, Any]] = {}
    for item in timings:
        row = totals.setdefault(
            item.stage, {"stage": item.stage, "processes": 0, "seconds": 0.0, "load_seconds": 0.0, "samples": 0}
        )
        row["processes"] += 1
        row["seconds"] += item.seconds
        row["load_seconds"] += item.load_seconds
        row["samples"] += item.samples or 0
    return sorted(totals.values(), key=lambda row: ORDER.index(row["stage"]) if row["stage"] in ORDER else len(ORDER))


def pod_hours(timings: Sequence[Timing]) -> dict[str, float]:
    """Hours of pods by pool, in the order of the stages: what the price table of the configuration is about."""
    hours: dict[str, float] = {}
    for item in sorted(timings, key=lambda item: ORDER.index(item.stage) if item.stage in ORDER else len(ORDER)):
        if item.stage in ORDER:
            pool = str(stages.STAGES[item.stage].pool)
            hours[pool] = hours.get(pool, 0.0) + item.seconds / 3600
    return hours


def wall_seconds(timings: Sequence[Timing]) -> float:
    """From the first stage's start to the last one's end, interruptions included."""
    spans = [(item.ended - item.seconds, item.ended) for item in timings if item.ended is not None]
    return max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0


def counted(results: Results, states: Sequence[State]) -> Iterator[Timing]:
    """Timings that belong to the result: of whole stages the current record's, of the others all but those of processes
    that committed samples of which none counts any more."""
    store = results.run.store
    current = {
        stage: {record.attempt.get("attempt") for state in states if (record := state.records.get(stage)) is not None}
        for stage in stages.SAMPLE
    }
    for key in store.list("timings/"):
        if (item := read_timing(store, key)) is None:  # a cache: the table lacks a line
            continue
        if item.stage in current:
            if not item.samples or item.attempt in current[item.stage]:
                yield item
        elif item.stage in stages.WHOLE:
            whole = results.current(item.stage)
            if whole is not None and key == layout.timing(item.stage, whole.key):
                yield item
