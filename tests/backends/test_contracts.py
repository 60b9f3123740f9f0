"""The embedded backends against the contracts that outsiders' backends are tested with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import images

from leicos_jobs.backends.echo import EchoGenerator
from leicos_jobs.backends.mujoco.generator import MujocoGenerator
from leicos_jobs.backends.mujoco.replayer import MujocoReplayer
from leicos_jobs.backends.physx.replayer import PhysxReplayer
from leicos_jobs.backends.requests import GenerateRequest, ReplayRequest
from leicos_jobs.media.encode import write_video
from leicos_jobs.testing.backend_contract import GeneratorContract, ReplayerContract

pytest.importorskip("mujoco", exc_type=ImportError)
from backends import mujoco_demo

SAMPLES = ("a" * 20, "b" * 20)


class TestMujocoGenerator(GeneratorContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> MujocoGenerator:
        return MujocoGenerator(MujocoGenerator.Settings(defect_share=0.0), None, tmp_path)

    @pytest.fixture
    def requests(self, tmp_path: Path) -> Sequence[GenerateRequest]:
        return [mujoco_demo.generate_request(tmp_path, sample, frames=40) for sample in SAMPLES]


class TestEchoGenerator(GeneratorContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> EchoGenerator:
        return EchoGenerator(EchoGenerator.Settings(), None, tmp_path)

    @pytest.fixture
    def requests(self, tmp_path: Path) -> Sequence[GenerateRequest]:
        demo, actions = tmp_path / "demo.mp4", np.arange(120, dtype=np.float32).reshape(20, 6)
        write_video(demo, images(20, 64, 48), 30)
        base = GenerateRequest("", "", 0, demo, {}, 30.0, 12, 64, 48, tmp_path)
        made = []
        for sample, first in zip(SAMPLES, (0, 14), strict=True):  # the second holds its last frame
            (tmp_path / sample).mkdir()
            echoed = {"demo": demo, "demo_actions": actions, "demo_first": first}
            made.append(dataclasses.replace(base, sample=sample, out_dir=tmp_path / sample, **echoed))
        return made


class TestMujocoReplayer(ReplayerContract):
    @pytest.fixture(params=["lift-cube", "none"])
    def backend(self, tmp_path: Path, request: pytest.FixtureRequest) -> MujocoReplayer:
        return MujocoReplayer(MujocoReplayer.Settings(task=request.param), tmp_path)

    @pytest.fixture
    def requests(self) -> Sequence[ReplayRequest]:
        names = itertools.cycle(SAMPLES)
        return [mujoco_demo.replay_request(mujoco_demo.demo(number)[0], name=next(names)) for number in (0, 1)]


@pytest.mark.skipif(
    not (find_spec("ovphysx") and find_spec("isaaclab_so101")), reason="PHYSX IS NOT TESTED: not installed"
)
class TestPhysxReplayer(ReplayerContract):
    @pytest.fixture(params=["lift-cube", "none"])
    def backend(self, tmp_path: Path, request: pytest.FixtureRequest) -> PhysxReplayer:
        return PhysxReplayer(PhysxReplayer.Settings(task=request.param, accept_licence=True), tmp_path)

    @pytest.fixture
    def requests(self) -> Sequence[ReplayRequest]:
        names = itertools.cycle(SAMPLES)
        return [mujoco_demo.replay_request(mujoco_demo.demo(number)[0], name=next(names)) for number in (0, 1)]


def test_without_a_task_only_the_arm_is_judged() -> None:
    request = mujoco_demo.replay_request(mujoco_demo.demo(0)[0])
    foreign = {key.replace("/cube/", "/Orange001/"): value for key, value in request.start.items()}
    arm, task = (MujocoReplayer(MujocoReplayer.Settings(task=task), Path()) for task in ("none", "lift-cube"))
    (alone,) = arm.process([dataclasses.replace(request, start=foreign)], lambda _sample: None)
    (whole,) = task.process([request], lambda _sample: None)
    assert whole.metrics.success is True
    assert alone.metrics.success is None
    assert alone.metrics.max_lift is None
    assert alone.metrics.tracking_error_deg == pytest.approx(whole.metrics.tracking_error_deg, abs=0.3)
    assert not MujocoReplayer.judges(MujocoReplayer.Settings(task="none"))
    with pytest.raises(Exception, match=r"replay\.settings\.task: none"):
        list(task.process([dataclasses.replace(request, start=foreign)], lambda _sample: None))
