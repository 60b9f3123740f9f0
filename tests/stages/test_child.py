"""The backend's process: it goes on only when its last result is dealt with, so a kill never costs a finished one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from leicos_jobs.backends.base import Processor
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.work.child import Child

SAMPLES = ["a", "b", "c"]


class Result:
    """What a backend yields, as far as the child's process cares."""

    def __init__(self, sample: str) -> None:
        self.sample = sample


class Diary(Processor[str, Result]):
    """A backend that leaves a file for each sample it begins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def process(self, requests: Sequence[str], started: Callable[[str], None]) -> Iterator[Result]:
        for sample in requests:
            started(sample)
            (self.folder / sample).touch()
            yield Result(sample)


class HastyDiary(Diary):
    run_ahead = True


class Torn(Processor[str, Result]):
    """Its own EOFError is a failure of the sample, not the end of the conversation."""

    def process(self, requests: Sequence[str], started: Callable[[str], None]) -> Iterator[Result]:
        started(requests[0])
        raise EOFError("a video ended too soon")
        yield


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    made = []

    def begin(kind: type, **arguments: object) -> Child:
        child = Child(BackendSpec(f"{__name__}:{kind.__name__}", arguments))
        made.append(child)
        assert answer(child)[0] == "ready"
        child.connection.send(SAMPLES)
        return child

    yield begin
    for child in made:
        child.kill()


def answer(child: Child) -> tuple:
    """The next message."""
    while (message := child.receive(0.1)) is None:
        pass
    return message


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_sample_begins_when_the_result_is_dealt_with(begin: Callable[..., Child], tmp_path: Path) -> None:
    child = begin(Diary, folder=tmp_path)
    for number, sample in enumerate(SAMPLES, start=1):
        assert answer(child)[:2] == ("started", sample)
        assert answer(child)[1].sample == sample
        time.sleep(0.3)  # to verify and upload takes its time
        assert names(tmp_path) == SAMPLES[:number]
    assert answer(child) == ("end",)


def test_a_backend_may_ask_to_run_ahead(begin: Callable[..., Child], tmp_path: Path) -> None:
    child = begin(HastyDiary, folder=tmp_path)
    assert answer(child)[:2] == ("started", "a")
    deadline = time.monotonic() + 20
    while names(tmp_path) != SAMPLES and time.monotonic() < deadline:
        time.sleep(0.02)
    assert names(tmp_path) == SAMPLES
    said = [answer(child)[0] for _ in range(6)]
    assert said == ["result", "started", "result", "started", "result", "end"]


def test_an_end_of_file_in_a_backend_is_its_failure(begin: Callable[..., Child]) -> None:
    child = begin(Torn)
    assert answer(child)[:2] == ("started", "a")
    assert answer(child)[:3] == ("failed", "a", "EOFError: a video ended too soon")
