"""What a round is: how many workers, what they take, and when one of them goes ahead for the gate."""

from __future__ import annotations

import pytest

from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.rounds import Round, round_of, workers_of

ROOM = 300


def planned(samples: int, workers: int = 8, fit: int = ROOM, limit: int = 0, gate: GateConfig | None = None) -> Round:
    missing = [str(number) for number in range(samples)]
    made = {sample for sample in missing if gate is None and int(sample) % 3 == 0}
    return round_of(missing, made, PlanConfig(workers=workers), fit, limit, gate)


@pytest.mark.parametrize(("samples", "workers"), [(0, 0), (1, 1), (4, 1), (5, 2), (31, 8), (10_000, 8)])
def test_a_round_has_the_workers_that_it_is_worth(samples: int, workers: int) -> None:
    assert planned(samples).workers == workers


def test_it_has_no_more_than_places_room_or_what_is_asked_for() -> None:
    assert (planned(100, fit=3).workers, planned(100, limit=2).workers, planned(100, limit=100).workers) == (3, 2, 8)
    assert planned(100, fit=-5).workers == 1, "never none: the samples would be lost"
    assert workers_of(0, 4, -5) == 0


def test_every_missing_sample_is_pulled_or_parted() -> None:
    found = planned(10)
    assert found.made == ("0", "3", "6", "9")
    assert sorted((*found.samples, *found.made), key=int) == [str(number) for number in range(10)]


def test_where_nothing_was_judged_yet_the_first_worker_goes_ahead_and_another_waits_for_its_place() -> None:
    gate = GateConfig(refused_videos_min=24)
    found = planned(10_000, gate=gate, limit=8)
    assert (found.workers, found.scouted) == (9, 30)
    assert [found.most_of(worker) for worker in range(3)] == [30, None, None]


@pytest.mark.parametrize(
    ("gate", "samples", "fit"),
    [
        (GateConfig(refused_share_max=1.0), 10_000, ROOM),
        (GateConfig(checks=()), 10_000, ROOM),
        (GateConfig(), 480, ROOM),
        (GateConfig(), 10_000, 8),
        (None, 10_000, ROOM),
    ],
    ids=["never stops", "refuses nothing", "would be no sooner", "no room for another", "videos were judged"],
)
def test_nobody_goes_ahead_where_it_would_not_help(gate: GateConfig | None, samples: int, fit: int) -> None:
    found = planned(samples, gate=gate, fit=fit)
    assert (found.workers, found.scouted) == (8, None)
