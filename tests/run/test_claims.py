"""Workers that pull: every sample is taken once, whoever is slow, late, lost or stopped."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from leicos_jobs.run.claims import PAGE, Pull
from leicos_jobs.store import Store
from leicos_jobs.store.folder import FolderStore

FOLDER = "rounds/w/00"


class Counting:
    """A store that counts requests; a listing is one per page."""

    def __init__(self, store: Store) -> None:
        self.store, self.uri, self.asked = store, store.uri, Counter[str]()

    def create(self, key: str, data: bytes) -> bytes:
        self.asked["create"] += 1
        return self.store.create(key, data)

    def list(self, prefix: str) -> Iterator[str]:
        keys = list(self.store.list(prefix))
        self.asked["list"] += 1 + len(keys) // PAGE
        yield from keys

    def read(self, key: str) -> bytes:
        self.asked["read"] += 1
        return self.store.read(key)

    def delete(self, key: str) -> None:
        self.store.delete(key)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(FolderStore(tmp_path))


def names(count: int) -> list[str]:
    return [f"{number:020x}" for number in range(count)]


def nothing(_names: Sequence[str]) -> None:
    """For a worker that notes no intentions."""


def pull(store: Counting, samples: int, worker: int, workers: int, most: int | None = None) -> Pull:
    return Pull(store, FOLDER, names(samples), worker, workers, uuid.uuid4().hex, most)  # type: ignore[arg-type]


@pytest.mark.parametrize(("samples", "workers"), [(0, 2), (1, 3), (5, 8), (23, 4), (60, 1), (120, 7)])
def test_workers_of_any_speed_take_every_sample_once(store: Counting, samples: int, workers: int) -> None:
    chance = random.Random(samples)
    pulls = {worker: pull(store, samples, worker, workers) for worker in range(workers)}
    speed = {worker: chance.choice([1, 1, 5, 20]) for worker in pulls}
    taken: list[str] = []
    while pulls:
        (worker,) = chance.choices(list(pulls), weights=[speed[each] for each in pulls])
        fresh = pulls[worker].take(pulls[worker].share(chance.choice([1, 4])), nothing)
        taken += fresh
        if not fresh:
            del pulls[worker]
    assert sorted(taken) == names(samples), "each once, and nobody stops before all are taken"


def test_a_worker_that_is_alone_takes_the_list_in_its_order(store: Counting) -> None:
    alone = pull(store, 10, 0, 1)
    assert [sample for _ in range(10) for sample in alone.take(1, nothing)] == names(10)
    assert alone.take(1, nothing) == []


def test_in_the_normal_course_a_sample_costs_little_more_than_its_claim(store: Counting) -> None:
    samples, workers = 400, 8
    pulls = [pull(store, samples, worker, workers) for worker in range(workers)]
    chance = random.Random(0)
    going = list(pulls)
    while going:
        one = chance.choice(going)
        if not one.take(1, nothing):
            going.remove(one)
    assert samples <= store.asked["create"] <= 1.1 * samples, "races are rare"
    assert store.asked["list"] <= 0.25 * samples
    assert store.asked["read"] == 0


def test_what_a_worker_intends_is_said_before_it_is_claimed(store: Counting) -> None:
    said: list[str] = []

    def intend(samples: Sequence[str]) -> None:
        assert not any(key.removesuffix(".json").endswith(tuple(samples)) for key in store.store.list(FOLDER))
        said.extend(samples)

    assert pull(store, 6, 0, 2).take(2, intend) == said == names(2)


def test_a_worker_that_is_started_again_finds_its_claims_and_nobody_else_gets_them(store: Counting) -> None:
    lost = pull(store, 6, 0, 2)
    held = lost.take(2, nothing)
    other = pull(store, 6, 1, 2)
    assert not other.claim(held[0])
    rest: list[str] = []
    while fresh := other.take(1, nothing):
        rest += fresh
    assert sorted(rest) == names(6)[2:]
    again = pull(store, 6, 0, 2)
    assert again.claimed() == held
    assert not again.claim(held[0]), "its former attempt may be at work still, where nobody says that it was lost"
    assert all(again.claim(sample, again=True) for sample in held)
    assert again.take(1, nothing) == []


def test_what_a_stopped_worker_gives_back_another_takes(store: Counting) -> None:
    stopped, other = pull(store, 4, 0, 2), pull(store, 4, 1, 2)
    held = stopped.take(2, nothing)
    assert held == names(2)
    assert [sample for _ in range(2) for sample in other.take(1, nothing)] == names(4)[2:]
    stopped.give_back(held[:1])
    assert other.take(1, nothing) == held[:1], "it looks again before it ends"
    assert other.take(1, nothing) == []
    assert not pull(store, 4, 0, 2).claim(held[0], again=True)


def test_a_late_worker_finds_what_is_left_or_nothing(store: Counting) -> None:
    first = pull(store, 5, 0, 3)
    for _ in range(4):
        first.take(1, nothing)
    late = pull(store, 5, 2, 3)
    assert len(late.take(3, nothing)) == 1
    assert pull(store, 5, 1, 3).take(1, nothing) == []


def test_a_scout_takes_no_more_than_it_is_sent_for(store: Counting) -> None:
    scout = pull(store, 9, 0, 2, most=3)
    assert len(scout.take(2, nothing)) == 2
    assert len(scout.take(2, nothing)) == 1
    assert scout.take(2, nothing) == []


def test_near_the_end_a_worker_holds_no_more_than_its_share(store: Counting) -> None:
    one = pull(store, 12, 0, 3)
    assert one.share(4) == 4
    one.take(4, nothing)
    one.take(4, nothing)
    assert (one.left, one.share(4)) == (4, 2)
