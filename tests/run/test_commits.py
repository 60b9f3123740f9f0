"""Commits under trouble: two workers, crashes between steps, retried PUTs, stale listings; Hypothesis picks the order.

The model: whatever happened, a record that stands names bytes that exist and are whole, it never changes, and every
worker that was told of a winner was told of the same one. On a folder and on a real S3 server.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from helpers.s3 import S3Server
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from leicos_jobs.run import failures, layout
from leicos_jobs.run.commits import Commits, Record
from leicos_jobs.run.config import RoundsConfig
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import Store, open_store

T = TypeVar("T")
SAMPLES = [f"{index:020x}" for index in range(3)]
KEY = "k" * 24
WORKERS = ("a", "b")
CRASHES = st.none() | st.tuples(st.integers(1, 2), st.sampled_from(["before", "after"]))


class Crash(Exception):
    """The worker's process is gone."""


class Turns:
    """Lets the writes of several workers happen in a given order, one at a time; one who is done is passed over."""

    def __init__(self, order: Sequence[str]) -> None:
        self.order = list(order)
        self._done: set[str] = set()
        self._changed = threading.Condition()

    def take(self, worker: str, act: Callable[[], T]) -> T:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next() in (worker, None), timeout=60)
            del self.order[:1]
            try:
                return act()
            finally:
                self._changed.notify_all()

    def finish(self, worker: str) -> None:
        with self._changed:
            self._done.add(worker)
            self._changed.notify_all()

    def _next(self) -> str | None:
        while self.order and self.order[0] in self._done:
            del self.order[0]
        return self.order[0] if self.order else None


class Troubled:
    """One worker's view of a store: crashes before or after its n-th write, answers a create twice, waits its turn,
    lists what was there a while ago."""

    def __init__(
        self,
        store: Store,
        worker: str = "a",
        *,
        crash_at: tuple[int, str] | None = None,
        retry_put: bool = False,
        turns: Turns | None = None,
    ) -> None:
        self.store, self.uri, self.worker = store, store.uri, worker
        self.crash_at, self.retry_put = crash_at, retry_put
        self.turns = turns or Turns([])
        self.writes = 0
        self.listed: list[str] | None = None

    def _write(self, act: Callable[[], T]) -> T:
        self.writes += 1
        crash = self.crash_at[1] if self.crash_at and self.crash_at[0] == self.writes else None

        def step() -> T:
            if crash == "before":
                raise Crash
            answer = act()
            if crash == "after":
                raise Crash
            return answer

        return self.turns.take(self.worker, step)

    def create(self, key: str, data: bytes) -> bytes:
        def act() -> bytes:
            if self.retry_put:
                self.store.create(key, data)  # the first answer is lost on the way
            return self.store.create(key, data)

        return self._write(act)

    def upload(self, key: str, path: Path) -> None:
        self._write(lambda: self.store.upload(key, path))

    def read(self, key: str) -> bytes:
        return self.store.read(key)

    def size(self, key: str) -> int | None:
        return self.store.size(key)

    def put(self, key: str, data: bytes) -> None:
        self.store.put(key, data)

    def fetch(self, key: str, scratch: Path) -> Path:
        return self.store.fetch(key, scratch)

    def delete(self, key: str) -> None:
        self.store.delete(key)

    def list(self, prefix: str) -> Iterator[str]:
        if self.listed is not None:
            return iter([key for key in self.listed if key.startswith(prefix)])
        return self.store.list(prefix)


class CommitMachine(RuleBasedStateMachine):
    def __init__(self, root: Callable[[Path], str]) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="leicos-test-"))
        self.store = open_store(root(self.folder))
        self.view = Troubled(self.store)
        self.commits = Commits(self.store)
        self.seen: dict[str, Record] = {}
        self.counter = itertools.count()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def made(self, sample: str, worker: str) -> Path:
        """Two workers make different bytes for the same sample, as a random generator might."""
        path = self.folder / f"{worker}-{next(self.counter)}.mp4"
        path.write_bytes(f"{worker} {sample}".encode() * 50)
        return path

    def commit(self, view: Troubled, sample: str) -> Record | None:
        """What the worker is told; None if it crashed."""
        record = Record(stage="generate", key=KEY, sample=sample)
        try:
            return Commits(view).commit(record, self.made(sample, view.worker))
        except Crash:
            return None
        finally:
            view.turns.finish(view.worker)

    @rule(sample=st.sampled_from(SAMPLES), worker=st.sampled_from(WORKERS), crash=CRASHES, retry=st.booleans())
    def work(self, sample: str, worker: str, crash: tuple[int, str] | None, retry: bool) -> None:
        """One attempt at a sample that is still to do."""
        if self.commits.get("generate", sample, KEY) is not None:
            return
        winner = self.commit(Troubled(self.store, worker, crash_at=crash, retry_put=retry), sample)
        if winner is not None:
            assert self.seen.setdefault(sample, winner) == winner

    @rule(
        sample=st.sampled_from(SAMPLES),
        order=st.permutations(WORKERS * 2),
        crashes=st.tuples(CRASHES, CRASHES),
        retries=st.tuples(st.booleans(), st.booleans()),
    )
    def race(
        self,
        sample: str,
        order: list[str],
        crashes: tuple[tuple[int, str] | None, tuple[int, str] | None],
        retries: tuple[bool, bool],
    ) -> None:
        """Both workers found the sample to do; their writes fall between each other's, and either may crash."""
        turns, told = Turns(order), {}

        def attempt(view: Troubled) -> None:
            told[view.worker] = self.commit(view, sample)

        views = [
            Troubled(self.store, worker, crash_at=crash, retry_put=retry, turns=turns)
            for worker, crash, retry in zip(WORKERS, crashes, retries, strict=True)
        ]
        threads = [threading.Thread(target=attempt, args=(view,)) for view in views]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(told) == set(WORKERS), "a worker ended otherwise than by its crash"
        for winner in told.values():
            if winner is not None:
                assert self.seen.setdefault(sample, winner) == winner

    @rule()
    def listings_lag(self) -> None:
        self.view.listed = list(self.store.list(""))

    @rule()
    def listings_catch_up(self) -> None:
        self.view.listed = None

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), times=st.integers(1, 4))
    def failing_after_success_changes_nothing(self, data: st.DataObject, times: int) -> None:
        """Failure notes beside a record: the record counts; a listing that lags shows fewer of them, never others."""
        sample = data.draw(st.sampled_from(sorted(self.seen)))
        for _ in range(times):
            failure = failures.Failure(stage="generate", sample=sample, key=KEY, kind="failed", error="x")
            failures.note(self.store, failure)
        known, all_of_them = (failures.read_all(store, "generate").get(sample, []) for store in (self.view, self.store))
        assert len(known) <= len(all_of_them)

    @invariant()
    def records_name_whole_bytes_and_never_change(self) -> None:
        for sample in SAMPLES:
            record = Commits(self.view).get("generate", sample, KEY)
            if record is None:
                assert sample not in self.seen
                continue
            assert self.seen.setdefault(sample, record) == record
            data = self.store.read(str(record.object))
            assert hashlib.sha256(data).hexdigest() == record.sha256
            assert record.object == layout.sample_object("generate", sample, str(record.sha256), ".mp4")
            assert sample.encode() in data


def test_commits_in_a_folder() -> None:
    def machine() -> CommitMachine:
        return CommitMachine(lambda folder: str(folder / "run"))

    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


def test_commits_in_s3(s3_environment: S3Server) -> None:
    def machine() -> CommitMachine:
        return CommitMachine(lambda _folder: f"s3://{s3_environment.bucket}/commits/{uuid.uuid4().hex}")

    run_state_machine_as_test(machine, settings=settings(max_examples=12, stateful_step_count=12, deadline=None))


def test_edited_bytes_are_not_taken_for_the_records(tmp_path: Path) -> None:
    commits = Commits(open_store(str(tmp_path / "run")))
    path = tmp_path / "video.mp4"
    path.write_bytes(b"whole")
    record = commits.commit(Record(stage="generate", key=KEY, sample=SAMPLES[0]), path)
    commits.store.put(str(record.object), b"edited")
    with pytest.raises(DamageError, match="differ from the digest"):
        commits.fetch(record, tmp_path)


def test_failures_of_another_key_do_not_quarantine() -> None:
    limits = RoundsConfig()
    old = [failures.Failure(stage="label", sample="s", key="old", kind="failed", error=str(n)) for n in range(9)]
    new = [failures.Failure(stage="label", sample="s", key="new", kind="failed", error=str(n)) for n in range(3)]
    assert failures.quarantined(old, "new", limits) is None
    assert failures.quarantined(old + new, "new", limits) == new[-1]


def test_losses_count_apart() -> None:
    lost = [failures.Failure(stage="label", sample="s", key="k", kind="lost", error="gone") for _ in range(9)]
    assert failures.quarantined(lost, "k", RoundsConfig()) is None
    assert failures.quarantined([*lost, lost[0]], "k", RoundsConfig()) is not None
