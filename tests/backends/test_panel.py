"""Several engines that judge a label: who must agree, what is kept, what enters identities."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from leicos_jobs.backends.panel import PanelReplayer, PanelSettings, combine
from leicos_jobs.backends.physx.library import LICENCE_ENV
from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.core.errors import InputError

BOTH = {"mujoco": {}, "physx": {"accept_licence": True}}


def metrics(success: bool | None, lift: float = 0.2) -> ReplayMetrics:
    return ReplayMetrics(success=success, success_held=success, max_lift=lift, tracking_error_deg=1.0)


@pytest.mark.parametrize(
    ("said", "agree", "verdict"),
    [
        ((True, True), 2, True),
        ((True, False), 2, False),
        ((True, False), 1, True),
        ((True, None), 1, None),
        ((False, True, True), 2, True),
    ],
)
def test_success_is_what_enough_engines_say(said: tuple[bool | None, ...], agree: int, verdict: bool | None) -> None:
    engines = {f"engine{at}": metrics(success, lift=float(at)) for at, success in enumerate(said)}
    result = combine(engines, agree)
    assert result.success is result.success_held is verdict
    assert result.max_lift == 0.0  # the first one's
    assert [engine["success"] for engine in result.engines.values()] == list(said)
    assert ReplayMetrics.model_validate(result.facts()) == result


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"engines": {"mujoco": {}}}, "at least 2"),
        ({"engines": {"mujoco": {}, "panel": {}}}, "cannot judge in a panel"),
        ({"engines": BOTH, "agree": 3}, "3 of 2"),
        ({"engines": {"mujoco": {"speed": 1}, "physx": {}}}, "speed"),
        ({"engines": {"mujoco": {}, "bullet": {}}}, "bullet"),
    ],
)
def test_a_panel_that_cannot_be_is_refused_with_its_field(given: dict[str, object], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        PanelSettings.model_validate(given)


def test_what_its_engines_are_enters_the_identity_and_the_licence_does_not() -> None:
    first = PanelReplayer.identity(PanelSettings(engines=BOTH))
    assert first == PanelReplayer.identity(PanelSettings(engines={"mujoco": {}, "physx": {}}, agree=2))
    others = (
        PanelSettings(engines=dict(reversed(BOTH.items()))),
        PanelSettings(engines=BOTH, agree=1),
        PanelSettings(engines={"mujoco": {}, "physx": {"gripper_effort_limit": 0.1}}),
    )
    assert all(PanelReplayer.identity(other) != first for other in others)
    assert PanelReplayer.judges(PanelSettings(engines=BOTH))
    assert not PanelReplayer.judges(PanelSettings(engines={"mujoco": {"task": "none"}, "physx": {}}))


def test_a_licence_that_is_not_accepted_stops_the_panel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LICENCE_ENV, raising=False)
    with pytest.raises(InputError, match="licence"):
        PanelReplayer(PanelSettings(engines={"mujoco": {}, "physx": {}}), tmp_path)


@pytest.mark.skipif(
    not (find_spec("ovphysx") and find_spec("isaaclab_so101")), reason="PHYSX IS NOT TESTED: not installed"
)
def test_mujoco_and_physx_judge_the_same_label(tmp_path: Path) -> None:
    from mujoco_demo import demo, replay_request

    panel = PanelReplayer(PanelSettings(engines=BOTH), tmp_path)
    good, bad = replay_request(demo(0)[0], name="good"), replay_request(demo(0, "low")[0], name="bad")
    seen: list[str] = []
    results = {result.sample: result.metrics for result in panel.process([good, bad], seen.append)}
    assert seen == ["good", "bad"]
    for sample, verdict in (("good", True), ("bad", False)):
        assert results[sample].success is verdict
        assert {name: engine["success"] for name, engine in results[sample].engines.items()} == {
            "mujoco": verdict,
            "physx": verdict,
        }
    alone = results["good"].engines["mujoco"]
    assert results["good"].tracking_error_deg == alone["tracking_error_deg"]
    assert alone["max_lift"] != results["good"].engines["physx"]["max_lift"]
