"""What every backend must do. Subclass a contract in a test module and provide the fixtures that it names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pytest
from pydantic import ValidationError

from leicos_jobs.backends.base import Generator, Labeller, Replayer, SampleBackend
from leicos_jobs.backends.requests import GenerateRequest, LabelRequest, ReplayMetrics, ReplayRequest
from leicos_jobs.media.probe import verify

B = TypeVar("B", bound=SampleBackend[Any, Any, Any])

HEAVY = ("torch", "mujoco", "transformers", "hera", "kubernetes")


class BackendContract(Generic[B]):
    """Fixtures: `backend`, made as its worker makes it; `requests`, at least two, of different samples."""

    base: ClassVar[type]
    """Of the backend's kind."""

    def run(self, backend: B, requests: Sequence[Any]) -> dict[str, Any]:
        """Results by sample; each is announced before it comes, comes once, and nothing else comes."""
        announced: list[str] = []
        results: dict[str, Any] = {}
        for result in backend.process(requests, announced.append):
            assert result.sample in announced, "a sample must be announced by `started` before its result"
            assert result.sample not in results, "one result a request"
            results[result.sample] = result
        assert set(results) == {request.sample for request in requests}
        return results

    def test_every_request_gets_one_result(self, backend: B, requests: Sequence[Any]) -> None:
        """No sample is lost, doubled or made up."""
        assert len({request.sample for request in requests}) == len(requests) >= 2, "the contract needs two samples"
        self.run(backend, requests)

    def test_it_says_what_it_is(self, backend: B) -> None:
        """Identities are made of these."""
        kind = type(backend)
        assert kind.name
        assert kind.version >= 1
        assert backend.batch >= 1

    def test_no_member_is_misspelt(self, backend: B) -> None:
        """Optional methods have defaults, so that a misspelt one would never be called."""
        known = {member for member in dir(self.base) if not member.startswith("_")}
        for member in vars(type(backend)).keys() - known:
            like = get_close_matches(member, known, n=1, cutoff=0.85)
            assert member.startswith("_") or not like, f"{member}: is {like[0]} meant?"

    def test_its_settings_have_defaults_and_refuse_what_they_do_not_know(self, backend: B) -> None:
        """A misspelt setting must not pass for its default."""
        settings = type(backend).Settings
        made = settings()
        with pytest.raises(ValidationError):
            settings.model_validate({"no_such_setting": 1})
        assert made.model_config.get("frozen")
        assert settings.model_validate(made.model_dump(mode="json")) == made

    def test_its_module_imports_nothing_heavy(self, backend: B) -> None:
        """Planning and status read `version` and `Settings` in an image without these."""
        heavy = f"[name for name in {HEAVY!r} if name in sys.modules]"
        code = f"import sys, {type(backend).__module__}; print(*{heavy})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == []


class GeneratorContract(BackendContract[Generator[Any]]):
    """Fixtures as in BackendContract; each request has an empty folder `out_dir` of its own."""

    base = Generator

    def test_videos_are_what_was_asked_for(self, backend: Generator[Any], requests: Sequence[GenerateRequest]) -> None:
        """Frames, rate and size by the stream; truth a row a frame."""
        results = self.run(backend, requests)
        for request in requests:
            result = results[request.sample]
            verify(result.video, frames=request.frames, fps=request.fps, size=(request.width, request.height))
            assert result.video.is_relative_to(request.out_dir)
            if result.truth is not None:
                assert result.truth["action"].shape[0] == request.frames
                assert result.truth["action"].dtype == np.float32


class LabellerContract(BackendContract[Labeller[Any]]):
    """Fixtures as in BackendContract, and `frames`: of each request's video."""

    base = Labeller

    def test_a_row_a_frame(
        self, backend: Labeller[Any], requests: Sequence[LabelRequest], frames: Sequence[int]
    ) -> None:
        """As many finite float32 rows as the video has frames."""
        results = self.run(backend, requests)
        for request, count in zip(requests, frames, strict=True):
            actions = results[request.sample].actions
            assert actions.ndim == 2
            assert len(actions) == count
            assert actions.dtype == np.float32
            assert np.isfinite(actions).all()

    def test_batch_and_order_change_nothing(self, backend: Labeller[Any], requests: Sequence[LabelRequest]) -> None:
        """A retry in another batch must give the same bytes."""
        together = self.run(backend, requests)
        backwards = self.run(backend, list(reversed(requests)))
        for request in requests:
            alone = self.run(backend, [request])[request.sample].actions
            assert alone.tobytes() == together[request.sample].actions.tobytes()
            assert alone.tobytes() == backwards[request.sample].actions.tobytes()


class ReplayerContract(BackendContract[Replayer[Any]]):
    """Fixtures as in BackendContract."""

    base = Replayer

    def test_all_metrics_are_there(self, backend: Replayer[Any], requests: Sequence[ReplayRequest]) -> None:
        """And unknown success is declared."""
        for result in self.run(backend, requests).values():
            assert isinstance(result.metrics, ReplayMetrics)
            assert result.metrics.tracking_error_deg >= 0
            if result.metrics.success is None:
                assert not backend.judges(backend.settings), "a replay that knows no success says so by `judges`"
