"""The backend's process: it goes on only when its last result is dealt with, so a kill never costs a finished one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from leicos_jobs.backends.base import Processor
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.work import messages
from leicos_jobs.work.child import Child

SAMPLES = ["a", "b", "c"]


@dataclass(frozen=True)
class Result:
    """What a backend yields, as far as the child's process cares."""

    sample: str


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


class WornDiary(Diary):
    lifetime = len(SAMPLES) + 1


class Torn(Processor[str, Result]):
    """Its own EOFError is a failure of the sample, not the end of the conversation."""

    def process(self, requests: Sequence[str], started: Callable[[str], None]) -> Iterator[Result]:
        started(requests[0])
        raise EOFError("a video ended too soon")
        yield


class Choosy(Torn):
    def __init__(self) -> None:
        raise InputError("no licence", fix="get one")


class Crooked(Torn):
    def __init__(self) -> None:
        print(1 / 0)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    made = []

    def begin(kind: type, **arguments: object) -> Child:
        child = Child(BackendSpec(f"{__name__}:{kind.__name__}", arguments))
        made.append(child)
        child.ready(kind.__name__)
        child.send(SAMPLES)
        return child

    yield begin
    for child in made:
        child.kill()


def answer(child: Child) -> messages.Answer:
    """The next message."""
    while (message := child.receive(0.1)) is None:
        pass
    return message


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_sample_begins_when_the_result_is_dealt_with(begin: Callable[..., Child], tmp_path: Path) -> None:
    child = begin(Diary, folder=tmp_path)
    for number, sample in enumerate(SAMPLES, start=1):
        assert answer(child) == messages.Started(sample)
        assert answer(child) == messages.Result(Result(sample), waits=True)
        time.sleep(0.3)  # to verify and upload takes its time
        assert names(tmp_path) == SAMPLES[:number]
    assert answer(child) == messages.End()


def test_a_backend_may_ask_to_run_ahead(begin: Callable[..., Child], tmp_path: Path) -> None:
    child = begin(HastyDiary, folder=tmp_path)
    assert answer(child) == messages.Started("a")
    deadline = time.monotonic() + 20
    while names(tmp_path) != SAMPLES and time.monotonic() < deadline:
        time.sleep(0.02)
    assert names(tmp_path) == SAMPLES
    said = [type(answer(child)).__name__ for _ in range(6)]
    assert said == ["Result", "Started", "Result", "Started", "Result", "End"]


def test_a_process_says_when_it_has_served_as_many_as_its_backend_wants(
    begin: Callable[..., Child], tmp_path: Path
) -> None:
    child = begin(WornDiary, folder=tmp_path)
    for worn in (False, True):
        while not isinstance(message := answer(child), messages.End):
            pass
        assert message == messages.End(worn)
        child.send(SAMPLES)


def test_an_end_of_file_in_a_backend_is_its_failure(begin: Callable[..., Child]) -> None:
    child = begin(Torn)
    assert answer(child) == messages.Started("a")
    failed = answer(child)
    assert isinstance(failed, messages.Failed)
    assert (failed.sample, failed.text) == ("a", "EOFError: a video ended too soon")


def test_a_backend_that_refuses_or_cannot_be_made_says_so_and_is_gone() -> None:
    for kind, error, said in ((Choosy, InputError, "no licence"), (Crooked, DefectError, "Stage: .*ZeroDivision")):
        child = Child(BackendSpec.of(kind))
        with pytest.raises(error, match=said):
            child.ready("Stage")
        assert not child.process.is_alive()
