"""What a worker works on: samples that are its own from the start, and what it pulls from the list of a round.

A sample is worked if its record is missing and it is not quarantined. Before it is claimed the heartbeat names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from leicos_jobs.core import logs
from leicos_jobs.run import failures
from leicos_jobs.run.chain import State
from leicos_jobs.run.claims import Pull
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.work import heartbeats

States = Callable[[Sequence[Sample]], list[State]]
"""States of samples, read as far as a stage needs."""


class Intake:
    """One attempt's samples. worker: the same in every attempt. plan: the samples of the list that `pull` takes from,
    by id."""

    def __init__(
        self, run: Run, stage: str, states: States, worker: str, attempt: str, pull: Pull | None,
        plan: Mapping[str, Sample],
    ) -> None:  # fmt: skip
        self._store, self._limits = run.store, run.config.rounds
        self._stage, self._states = stage, states
        self._worker, self._attempt = worker, attempt
        self._pull, self._plan = pull, plan
        self._notes: dict[str, list[str]] = {}
        self._said: tuple[str, ...] | None = None
        self.had: list[Sample] = []
        """All samples that were given or taken, done or not."""
        self.opened = 0
        """How many of them there was something to do for."""
        self.alone: set[str] = set()
        """Samples that share no batch with others: one of them may be what kills workers or backends."""

    def begin(self, given: Sequence[Sample]) -> list[State]:
        """What is to do of the samples that are the worker's own, and of what an earlier attempt has taken."""
        heart = self._earlier()
        taken = dict.fromkeys((*heart.taken, *heart.samples)) if heart and self._pull else {}
        self.had = [*given, *(self._plan[sample] for sample in taken if sample in self._plan)]
        pending = self._pending(self.had)
        if self._pull is not None:
            others = {state.sample.id for state in pending if not self._pull.claim(state.sample.id, again=True)}
            self.had = [sample for sample in self.had if sample.id not in others]
            pending = [state for state in pending if state.sample.id not in others]
            self._pull.own |= dict.fromkeys(sample.id for sample in self.had)
        if heart is not None:
            heartbeats.settle(self._store, self._stage, heart, pending)
        self.beat([])
        self._notes = failures.noted(self._store, self._stage)
        return self._admitted(pending)

    def _earlier(self) -> heartbeats.Heartbeat | None:
        """The heartbeat of an earlier attempt. Where it is damaged nobody vanished, as far as is known, and the claims
        themselves are read."""
        try:
            return heartbeats.read(self._store, self._stage, self._worker)
        except DamageError as error:
            logs.event(f"{self._stage}.heartbeat_damaged", error=error.message)
        claimed = self._pull.claimed() if self._pull else []
        return heartbeats.Heartbeat(attempt=self._attempt, host="", samples=(), taken=tuple(claimed))

    def more(self, wanted: int, queue: Iterable[State] = ()) -> list[State]:
        """At least `wanted` samples that there is something to do for, fewer where no more are left. queue: those that
        the worker still has to do."""
        fresh: list[State] = []
        while self._pull is not None and len(fresh) < wanted:
            hand = [state.sample.id for state in (*queue, *fresh)]
            taken = self._pull.take(wanted - len(fresh), partial(self._intend, hand))
            if not taken:
                break
            samples = [self._plan[sample] for sample in taken]
            self.had += samples
            fresh += self._admitted(self._pending(samples))
        return fresh

    def _intend(self, hand: Sequence[str], names: Sequence[str]) -> None:
        self._beat([*hand, *names])

    def share(self, batch: int) -> int:
        """See `Pull.share`."""
        return self._pull.share(batch) if self._pull else batch

    @property
    def left(self) -> int:
        """Samples of the list that nobody has taken, as far as is known."""
        return self._pull.left if self._pull else 0

    def beat(self, states: Iterable[State]) -> None:
        """Say what is worked on."""
        self._beat([state.sample.id for state in states])

    def _beat(self, samples: Sequence[str]) -> None:
        taken = tuple(self._pull.own) if self._pull else ()
        if self._said != (said := (*samples, "/", *taken)):
            heartbeats.beat(self._store, self._stage, self._worker, self._attempt, samples, taken)
            self._said = said

    def stop(self, states: Iterable[State]) -> None:
        """Give back what is not done, for others to take, and say that nothing is worked on."""
        if self._pull is not None:
            self._pull.give_back([state.sample.id for state in states])
        self.beat([])

    def retryable(self, states: Sequence[State]) -> list[State]:
        """Those of the samples in hand that may be tried again; only their own notes are read."""
        notes = {state.sample.id: failures.read_of(self._store, self._stage, state.sample.id) for state in states}
        return [state for state in states if not self._quarantined(state, notes[state.sample.id])]

    def _pending(self, samples: Sequence[Sample]) -> list[State]:
        return [state for state in self._states(samples) if state.pending(self._stage)]

    def _admitted(self, pending: Sequence[State]) -> list[State]:
        """Those that are not quarantined. Notes are read of the samples in hand alone, as one listing names them."""
        admitted = []
        for state in pending:
            sample = state.sample.id
            notes = failures.read(self._store, self._stage, sample, self._notes.get(sample, ()))
            if failures.suspected(notes, state.keys[self._stage], self._limits):
                self.alone.add(sample)
            if not self._quarantined(state, notes):
                admitted.append(state)
        self.opened += len(admitted)
        return admitted

    def _quarantined(self, state: State, notes: list[failures.Failure]) -> bool:
        return failures.quarantined(notes, state.keys[self._stage], self._limits) is not None
