"""What a backend is stands in its types: a misspelt member is an error before anything runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel

from leicos_jobs.backends.base import KINDS, Generator, Started
from leicos_jobs.backends.echo import EchoGenerator, EchoSettings
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core.errors import DefectError
from leicos_jobs.testing.conformance import SHIPPED

ROOT = Path(__file__).parents[2]
SNIPPET = """
from __future__ import annotations
from collections.abc import Iterator, Sequence
from typing import Any
from pydantic import BaseModel
from typing_extensions import override
from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Generator, Replayer, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult

class Settings(BaseModel):
    crf: int = 1

class Right(Generator[Settings], name="right", version=1, needs_demo=True):
    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        print(self.settings.crf)
        raise NotImplementedError

class Member(Right, name="member", version=1, need_demo=True): ...  # wrong: need_demo

class Nameless(Right, name="nameless"): ...  # wrong: version

class Method(Right, name="method", version=1):
    @override
    def seeds_per_samples(cls, settings: Settings, frames: int) -> int:  # wrong: seeds_per_samples
        return 2

class Setting(Right, name="setting", version=1):
    def crf(self) -> int:
        return self.settings.crv  # wrong: crv

right: type[Generator[Any]] = registry.load("generate", "right")
other: type[Replayer[Any]] = registry.load("generate", "right")  # wrong: Replayer
kind = registry.load("generat", "right")  # wrong: load
"""


def test_misspelt_members_are_errors_of_types(tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"snippet\.py:(\d+): (error: .*)", done.stdout))
    wrong = {
        str(number): line.rpartition(": ")[2]
        for number, line in enumerate(SNIPPET.splitlines(), start=1)
        if "# wrong" in line
    }
    assert len(wrong) == 6
    # an @override is reported where its decorator stands
    moved = {number if number in found else str(int(number) - 1): name for number, name in wrong.items()}
    assert found.keys() == moved.keys(), done.stdout + done.stderr
    for number, name in moved.items():
        assert name in found[number]


def test_a_misspelt_member_is_refused_at_the_import() -> None:
    with pytest.raises(TypeError, match="need_demo"):

        class Misspelt(Generator[EchoSettings], name="misspelt", version=1, need_demo=True):  # type: ignore[call-arg]
            pass


def test_a_member_in_the_body_is_refused_since_there_no_one_would_see_it_misspelt() -> None:
    with pytest.raises(TypeError, match="needs_demo: say it in the class's head"):

        class Body(Generator[EchoSettings], name="body", version=1):
            needs_demo = True


def test_settings_of_another_backend_are_refused(tmp_path: Path) -> None:
    class Foreign(BaseModel):
        crf: int = 28

    with pytest.raises(DefectError, match="echo was given Foreign, not EchoSettings"):
        EchoGenerator(Foreign(), None, tmp_path)  # type: ignore[arg-type]


def test_every_optional_member_has_a_default(tmp_path: Path) -> None:
    class Least(Generator[EchoSettings], name="least", version=1):
        def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
            raise NotImplementedError

    least, settings = Least(EchoSettings(), None, tmp_path), EchoSettings(crf=30)
    assert (least.batch, least.run_ahead, least.trained, least.needs_demo, least.upstream) == (
        1,
        False,
        False,
        False,
        "",
    )
    assert Least.seeds_per_sample(settings, 93) == 1
    assert Least.identity(settings) == {"crf": 30}
    Least.check_run(settings, 93, 640, 480)
    least.close()


def test_all_that_is_shipped_is_in_the_conformance_module_and_in_a_known_group() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert {group.removeprefix("leicos.") for group in groups} == SHIPPED.keys()
    assert set(KINDS) == SHIPPED.keys() | {"critic"}
    for kind, backends in SHIPPED.items():
        named = {backend.name: f"{backend.__module__}:{backend.__qualname__}" for backend in backends}
        assert groups[f"leicos.{kind}"] == named
