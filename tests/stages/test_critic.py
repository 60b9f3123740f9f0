"""A critic between gate and label: off by default, asked only about what passed; the limits are the configuration's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from stages.conftest import CONFIG

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Critic
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import CriticRequest, CriticResult
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.media.encode import write_video
from leicos_jobs.run import check_config, identity
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.config_gate import CriticConfig, GateConfig
from leicos_jobs.stages.gate import Gate, GateRequest, GateResult

TASK = "Lift the red cube up."


class Brightness(BaseModel):
    """None but one."""

    model_config = ConfigDict(extra="forbid")
    score: float | None = None


class BrightnessCritic(Critic[Brightness], name="brightness", version=3, scores=("brightness",)):
    """Scores a video by its first frame's brightness; keeps whom it was asked about."""

    def process(self, requests: Sequence[CriticRequest], started: Callable[[str], None]) -> Iterator[CriticResult]:
        from leicos_jobs.media.decode import read_all

        for request in requests:
            started(request.sample)
            assert request.task == TASK
            (self.work / request.sample).touch()
            score = self.settings.score
            bright = float(read_all(request.video)[0].mean() / 255) if score is None else score
            yield CriticResult(request.sample, {"brightness": bright}, {"said": f"brightness {bright:.2f}"})


def gate(folder: Path, limits: dict[str, float], score: float | None = None) -> Gate:
    settings = Brightness(score=score)
    spec = BackendSpec(f"{__name__}:BrightnessCritic", {"settings": settings, "work": folder})
    return Gate({"motion": (0.5, 255.0)}, ("static",), spec, limits)


def request(folder: Path, name: str, level: int, *, static: bool = False) -> GateRequest:
    frames = np.full((40, 96, 128, 3), level, np.uint8)
    for index in range(40):
        left = 10 if static else 10 + 2 * index
        frames[index, 30:60, left : left + 30] = 255 - level
    video, clip = folder / f"{name}.mp4", folder / f"{name}-clip.mp4"
    write_video(video, frames, 30)
    write_video(clip, frames[:5], 30)
    return GateRequest(name, video, clip, 30.0, TASK, 7)


def judge(made: Gate, asked: GateRequest) -> GateResult:
    (found,) = made.process([asked], lambda _sample: None)
    return found


def test_what_the_critic_scores_too_low_is_refused_by_its_score(tmp_path: Path) -> None:
    made = gate(tmp_path, {"brightness": 0.5})

    bright, dark = judge(made, request(tmp_path, "bright", 200)), judge(made, request(tmp_path, "dark", 40))

    assert bright.verdict.reasons == []
    assert dark.verdict.reasons == ["critic-brightness"]
    assert dark.verdict.scores["critic-brightness"] < 0.5 < bright.verdict.scores["critic-brightness"]
    assert dark.notes["said"].startswith("brightness 0.")


def test_the_critic_is_not_asked_about_what_the_gate_refuses(tmp_path: Path) -> None:
    found = judge(gate(tmp_path, {"brightness": 0.5}), request(tmp_path, "still", 200, static=True))

    assert "static" in found.verdict.reasons
    assert not (tmp_path / "still").exists()


@pytest.mark.parametrize(("limits", "score"), [({"physics": 0.5}, None), ({}, 1.7)])
def test_a_score_that_is_not_there_or_not_a_share_is_a_defect(
    tmp_path: Path, limits: dict[str, float], score: float | None
) -> None:
    with pytest.raises(DefectError, match=r"physics|0\.\.1"):
        judge(gate(tmp_path, limits, score), request(tmp_path, "bright", 200))


def test_off_by_default_and_limits_are_shares() -> None:
    assert GateConfig().critic is None
    with pytest.raises(ValidationError):
        CriticConfig(backend="x", min_scores={"physics": 2.0})
    with pytest.raises(ValidationError):
        CriticConfig(backend="x", min_scores={})


def configured(monkeypatch: pytest.MonkeyPatch, **gate: object) -> RunConfig:
    """A configuration of which `critic` backends are ours."""
    load = registry.load
    monkeypatch.setattr(
        registry, "load", lambda stage, name: BrightnessCritic if stage == "critic" else load(stage, name)
    )
    config = json.loads(json.dumps(CONFIG))
    config["source"]["files"] = ["demos.hdf5"]
    return RunConfig.model_validate(config | {"gate": gate})


def test_the_critic_enters_the_gates_key_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    critic = {"backend": "brightness", "min_scores": {"brightness": 0.5}}
    assert "critic" not in identity.sample_rules(configured(monkeypatch), None).settings["gate"]

    found = identity.sample_rules(configured(monkeypatch, critic=critic), None).settings["gate"]["critic"]

    assert found == {
        "name": "brightness",
        "version": 3,
        "upstream": "",
        "settings": {},
        "min_scores": {"brightness": 0.5},
    }


def test_a_limit_on_a_score_that_the_critic_has_not_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    critic = {"backend": "brightness", "min_scores": {"physics": 0.5}}

    with pytest.raises(InputError, match="no score physics") as caught:
        check_config.check_backends(configured(monkeypatch, critic=critic))

    assert caught.value.fix == "it has brightness"


def test_an_unknown_critic_is_refused_with_those_installed() -> None:
    with pytest.raises(InputError, match="unknown critic backend 'nobody'"):
        registry.load("critic", "nobody")
