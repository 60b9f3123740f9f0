"""What backends answer, and what records have of it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from leicos_jobs.backends.requests import ReplayMetrics, TrainResult

GIVEN = {"success": None, "success_held": None, "max_lift": None, "tracking_error_deg": 2.5, "seen": "a", "rows": 9}


def test_metrics_stand_in_a_record_as_the_backend_gave_them_its_own_included() -> None:
    facts = ReplayMetrics.model_validate(GIVEN).facts()
    assert json.dumps(facts) == json.dumps(GIVEN)
    assert ReplayMetrics.model_validate(facts).facts() == facts


@pytest.mark.parametrize("name", ["success", "success_held", "max_lift", "tracking_error_deg"])
def test_a_replay_that_lacks_a_metric_is_no_result(name: str) -> None:
    """A simulator that died half-way reports nothing, not a failure."""
    with pytest.raises(ValidationError, match=name):
        ReplayMetrics.model_validate({key: value for key, value in GIVEN.items() if key != name})


def test_a_trainer_cannot_say_what_its_stage_says() -> None:
    """It would be overwritten in the record, and nobody would see it."""
    assert TrainResult(losses=[(1, 0.5)]).facts() == {"losses": [(1, 0.5)]}
    with pytest.raises(ValidationError, match="held_out: the stage says that itself"):
        TrainResult(held_out={"mae": 1.0})
