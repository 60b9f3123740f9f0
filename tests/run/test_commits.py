"""Commits under trouble: two workers, crashes between steps, retried PUTs, stale listings; Hypothesis picks the order.

The model: whatever happened, a record that stands names bytes that exist and are whole, it never changes, and every
worker that was told of a winner was told of the same one.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from leicos_jobs.core.digests import sha256_file
from leicos_jobs.run import failures, layout
from leicos_jobs.run.commits import Commits, Record
from leicos_jobs.run.config import RoundsConfig
from leicos_jobs.store.folder import FolderStore

SAMPLES = [f"{index:020x}" for index in range(3)]
KEY = "k" * 24


class Crash(Exception):
    """The worker's process is gone."""


class TroubledStore(FolderStore):
    """Crashes before or after the n-th write, answers a create twice, and lists what was there a while ago."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.crash_at: tuple[int, str] | None = None
        self.retry_put = False
        self.writes = 0
        self.listed: list[str] | None = None

    def _write(self, act):
        self.writes += 1
        here = self.crash_at is not None and self.crash_at[0] == self.writes
        if here and self.crash_at and self.crash_at[1] == "before":
            raise Crash
        answer = act()
        if here:
            raise Crash
        return answer

    def create(self, key: str, data: bytes) -> bytes:
        def act() -> bytes:
            if self.retry_put:
                super(TroubledStore, self).create(key, data)  # the first answer is lost on the way
            return super(TroubledStore, self).create(key, data)

        return self._write(act)

    def upload(self, key: str, path: Path) -> None:
        self._write(lambda: super(TroubledStore, self).upload(key, path))

    def list(self, prefix: str):
        if self.listed is not None:
            return iter([key for key in self.listed if key.startswith(prefix)])
        return super().list(prefix)


class CommitMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="leicos-test-"))
        self.store = TroubledStore(self.folder / "run")
        self.commits = Commits(self.store)
        self.seen: dict[str, Record] = {}
        self.counter = itertools.count()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(
        sample=st.sampled_from(SAMPLES),
        worker=st.sampled_from(["a", "b"]),
        crash=st.none() | st.tuples(st.integers(1, 2), st.sampled_from(["before", "after"])),
        retry=st.booleans(),
    )
    def work(self, sample: str, worker: str, crash: tuple[int, str] | None, retry: bool) -> None:
        """One attempt; two workers make different bytes for the same sample, as a random generator might."""
        if self.commits.get("generate", sample, KEY) is not None:
            return
        path = self.folder / f"{worker}-{next(self.counter)}.mp4"
        path.write_bytes(f"{worker} {sample}".encode() * 50)
        self.store.crash_at, self.store.retry_put, self.store.writes = crash, retry, 0
        try:
            winner = self.commits.commit(Record(stage="generate", key=KEY, sample=sample), path)
        except Crash:
            return
        finally:
            self.store.crash_at = None
        assert self.seen.setdefault(sample, winner) == winner

    @rule(sample=st.sampled_from(SAMPLES))
    def race(self, sample: str) -> None:
        """Both workers found the sample to do; both commit. The second is told of the first."""
        told = []
        for worker in ("a", "b"):
            path = self.folder / f"race-{worker}-{next(self.counter)}.mp4"
            path.write_bytes(f"{worker} {sample}".encode() * 50)
            told.append(self.commits.commit(Record(stage="generate", key=KEY, sample=sample), path))
        assert told[0] == told[1] == self.seen.setdefault(sample, told[0])

    @rule()
    def listings_lag(self) -> None:
        self.store.listed = None
        self.store.listed = list(self.store.list(""))

    @rule()
    def listings_catch_up(self) -> None:
        self.store.listed = None

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def failing_after_success_changes_nothing(self, data: st.DataObject) -> None:
        """A failure note beside a record: the record counts."""
        sample = data.draw(st.sampled_from(sorted(self.seen)))
        failures.note(self.store, failures.Failure(stage="generate", sample=sample, key=KEY, kind="failed", error="x"))

    @invariant()
    def records_name_whole_bytes_and_never_change(self) -> None:
        for sample in SAMPLES:
            record = self.commits.get("generate", sample, KEY)
            if record is None:
                assert sample not in self.seen
                continue
            assert self.seen.setdefault(sample, record) == record
            path = self.folder / "run" / str(record.object)
            assert sha256_file(path) == record.sha256
            assert record.object == layout.sample_object("generate", sample, str(record.sha256), ".mp4")
            assert sample.encode() in path.read_bytes()


TestCommits = CommitMachine.TestCase
TestCommits.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


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
