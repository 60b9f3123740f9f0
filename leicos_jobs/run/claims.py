"""Claims: the workers of a round pull from one list, and whoever creates a sample's claim works on it.

A claim is created only if there is none and names its worker, the same in every attempt; no clock is asked. So a worker
that is started again takes up its own claims, and what a vanished one still holds is missing in the next round.

The list is cut into as many parts as there are workers. A worker goes through its own part from the front, then helps
where most is left, from the back: two of them seldom want the same sample. What others hold it learns by losing a
claim, or from a listing, which is made when as many requests were spent in vain as it costs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict

from leicos_jobs.run import layout, sealed
from leicos_jobs.store import KeyMissingError, Store

PAGE = 1000
"""Keys that an S3 server lists per request."""


class Claim(BaseModel):
    """Who works on a sample in a round: the index of a worker, and which of its attempts took it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker: int
    attempt: str


class Pull:
    """What one worker of a round takes. samples: the round's list, ids, the same for all `workers` of them.

    attempt: another at each start of the worker. most: how many it takes at most.
    """

    def __init__(
        self, store: Store, folder: str, samples: Sequence[str], worker: int, workers: int, attempt: str,
        most: int | None = None,
    ) -> None:  # fmt: skip
        self._store, self._folder, self.samples = store, folder, samples
        self._worker, self._workers, self._most = worker, workers, most
        self._body = sealed.dump(Claim(worker=worker, attempt=attempt))
        self._places = {self._key(sample): place for place, sample in enumerate(samples)}
        self._begins = [part * len(samples) // workers for part in range(workers + 1)]
        self.own: dict[str, None] = {}
        """All that this worker has taken, in order."""
        self._spent = 0
        self._look()

    @property
    def left(self) -> int:
        """Samples that nobody has claimed, as far as this worker knows."""
        return sum(self._free)

    def share(self, batch: int) -> int:
        """How many samples to hold at a time where the model wants `batch`: near the end fewer, so that no worker sits
        on what others could do."""
        return max(1, min(batch, -(-self.left // self._workers)))

    def take(self, wanted: int, intend: Callable[[list[str]], None]) -> list[str]:
        """Claim up to `wanted` samples; none if none is left, or if this worker has had its most.

        intend: is told what will be claimed, before it is: a worker that dies in between knows what may be its own.
        """
        looked = False
        while True:
            room = wanted if self._most is None else min(wanted, self._most - len(self.own))
            candidates = self._candidates(room)
            if candidates:
                intend(candidates)
                if taken := [sample for sample in candidates if self.claim(sample)]:
                    return taken
                looked = False
            elif looked or room <= 0:
                return []
            else:
                self._look()
                looked = True

    def claim(self, sample: str, *, again: bool = False) -> bool:
        """Make a sample this attempt's; False if it is another's.

        again: also one that an earlier attempt of this worker took. Where nobody says that it did, that attempt is at
        work still, though it was taken to be lost.
        """
        try:
            written = self._store.create(self._key(sample), self._body)
            mine = written == self._body or (again and self._is_own(written))
        except KeyMissingError:  # another's, which was given back at this moment: the next look finds it free
            mine = False
        self._mark(sample)
        if mine:
            self.own[sample] = None
        else:
            self._spent += 1
        return mine

    def give_back(self, samples: Sequence[str]) -> None:
        """Let others have samples that were not done. After it the worker must say that they are not its own."""
        for sample in samples:
            self.own.pop(sample, None)
            self._store.delete(self._key(sample))

    def claimed(self) -> list[str]:
        """This worker's claims, each claim of the round read: where its own note of them was damaged."""
        keys = self._store.list(layout.claims(self._folder))
        return [self.samples[self._places[key]] for key in keys if key in self._places and self._holds(key)]

    def _holds(self, key: str) -> bool:
        try:
            return self._is_own(self._store.read(key))
        except KeyMissingError:
            return False

    def _is_own(self, written: bytes) -> bool:
        try:
            return sealed.load(Claim, written, self._folder, self._store.uri).worker == self._worker
        except sealed.DamageError:  # nobody's: the next round takes it
            return False

    def _key(self, sample: str) -> str:
        return layout.claim(self._folder, sample)

    def _look(self) -> None:
        """Learn what is claimed now. A listing may lag behind: one's own stay known."""
        self._spent = 0
        self._known = bytearray(len(self.samples))
        for key in (*self._store.list(layout.claims(self._folder)), *map(self._key, self.own)):
            place = self._places.get(key)
            if place is not None:
                self._known[place] = 1
        self._front, self._back = self._begins[:-1], self._begins[1:]
        self._free = [self._known.count(0, *ends) for ends in zip(self._front, self._back, strict=True)]

    def _mark(self, sample: str) -> None:
        place = self._places[self._key(sample)]
        if not self._known[place]:
            self._known[place] = 1
            self._free[bisect_right(self._begins, place) - 1] -= 1

    def _candidates(self, wanted: int) -> list[str]:
        """The next samples that nobody is known to have: of the own part, then of the one with most left."""
        if self._spent > len(self.samples) // PAGE:
            self._look()
        part = self._worker
        helps = not self._free[part]
        if helps:
            others = ((part + step) % self._workers for step in range(1, self._workers))
            part = max(others, key=lambda other: self._free[other], default=part)
            self._spent += 1
        places: list[int] = []
        while len(places) < min(wanted, self._free[part]):
            places.append(self._next(part, helps))
        return [self.samples[place] for place in places]

    def _next(self, part: int, from_back: bool) -> int:
        """The next place of a part that nobody is known to have; a place is given once between two listings."""
        while True:
            if from_back:
                self._back[part] -= 1
                place = self._back[part]
            else:
                place = self._front[part]
                self._front[part] += 1
            if not self._known[place]:
                return place
