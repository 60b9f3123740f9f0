"""Status from the store alone: counts, reasons, pace, cost, and who made the records."""

from __future__ import annotations

import dataclasses
import json

import pytest
from cluster_cli.handmade import HandMade, TrainedBackend, configuration
from helpers.whole import commit_whole

from leicos_jobs.backends import registry
from leicos_jobs.core import stages, workflow_size
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import layout
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import account
from leicos_jobs.run.status import RunStatus, StageStatus, status
from leicos_jobs.run.status_text import duration
from leicos_jobs.stages.fan_in import fan_in
from leicos_jobs.stages.plan_round import plan_round
from leicos_jobs.work.whole import whole_stage


def of(found: RunStatus, stage: str) -> StageStatus:
    return next(item for item in found.stages if item.stage == stage)


def mixed_run(made: HandMade) -> HandMade:
    """Ten samples: 4 replayed, 1 labelled, 1 refused, 1 quarantined in label, 1 generated only, 2 untouched."""
    made.idm()
    samples = made.plan(10)
    for item in samples[:4]:
        made.through(item, "replay")
    made.through(samples[4], "label")
    made.through(samples[5], "generate")
    made.commit("gate", samples[5], passed=False, reasons=["static", "jump"])
    made.through(samples[6], "gate")
    made.fail("label", samples[6], "labels are not finite\nmore")
    made.through(samples[7], "generate")
    made.fail("gate", samples[7], "no memory", times=2)
    return made


def test_a_run_without_a_plan_says_so(made: HandMade) -> None:
    made.whole("convert")
    found = status(made.run)
    assert (found.samples, found.missing, found.done) == (0, 0, False)
    assert found.whole_stages["convert"]
    assert not found.whole_stages["plan"]
    assert "there is no plan yet" in found.text()


def test_counts_agree_with_the_account_that_rounds_are_planned_by(made: HandMade) -> None:
    mixed_run(made)
    found, counted = status(made.run), account(made.run)
    assert (
        (found.samples, found.labelled, found.refused)
        == (10, 5, 1)
        == (
            counted.total,
            counted.labelled,
            counted.refused,
        )
    )
    assert (found.quarantined, found.missing) == (len(counted.quarantined), len(counted.missing)) == (1, 3)


def test_a_plan_of_which_the_gate_refused_all_ends_with_its_reasons(made: HandMade) -> None:
    made.idm()
    for number, sample in enumerate(made.plan(3)):
        made.through(sample, "generate")
        made.commit("gate", sample, passed=False, reasons=["static"] if number else ["static", "jump"])
    with pytest.raises(InputError, match=r"of 3 samples is labelled: the gate refused 3\n  2 x static\n  1 x stat"):
        fan_in(made.run, "w")


def test_rounds_beyond_the_usual_ones_get_what_room_the_workflow_has_left(
    made: HandMade, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ever done here: every round has all samples to do."""
    made.idm()
    made.plan(10)
    monkeypatch.setattr(workflow_size, "LIMIT", workflow_size.FIXED_BYTES + 15_500)
    workers = [plan_round(made.run, "w", number).workers for number in range(4)]
    assert workers[0] == 3
    assert workers[1:] == sorted(workers[1:], reverse=True)
    assert workers[-1] == 1, "never none: the samples would be lost"
    assert [plan_round(made.run, "w", number).workers for number in range(4)] == workers, (
        "a retried pod finds its round"
    )
    for number in range(4):
        assert plan_round(made.run, "w", number).samples == tuple(sample.id for sample in Results(made.run).samples())


def test_rounds_go_on_without_an_idm_and_label_when_it_is_there(made: HandMade) -> None:
    samples = made.plan(3)
    first = plan_round(made.run, "w", 0)
    assert (first.workers, first.videos, first.labels) == (1, True, False)
    for item in samples[:2]:
        made.commit("generate", item)
        made.commit("gate", item)
    counted = account(made.run)
    assert (counted.waiting, counted.missing) == (2, samples[2:]), "no round for labels alone"
    made.commit("generate", samples[2])
    made.commit("gate", samples[2])
    assert account(made.run).missing == []
    nothing = plan_round(made.run, "w", 1)
    assert (nothing.workers, nothing.videos, nothing.labels) == (0, False, False)
    with pytest.raises(InputError, match="train-idm is not done"):
        fan_in(made.run, "w")
    made.idm()
    labels = plan_round(made.run, "w", 2)
    assert (labels.workers, labels.videos, labels.labels) == (1, False, True), "no pod for videos that stand"
    assert (labels.samples, labels.made) == ((), tuple(item.id for item in samples))
    assert plan_round(made.run, "w", 0) == first, "a retried pod finds what was written"
    assert account(made.run).waiting == 0


def test_gpu_hours_count_every_gpu_of_a_training_and_dollars_its_pod(made: HandMade) -> None:
    made.timing("post-train", "k", 3600.0, gpus=8)
    made.timing("train-idm", "k", 3600.0)  # as earlier versions wrote it
    made.timing("convert", "k", 3600.0)
    found = status(made.run)
    assert found.gpu_hours == 9.0
    assert found.dollars == 2 * made.run.config.cost.dollars_per_hour["train"]


def test_a_training_on_eight_gpus_says_so_in_its_timing(made: HandMade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load", lambda stage, name: TrainedBackend)
    commit_whole(made.run, "cosmos-dataset")
    record = whole_stage(Results(made.run), stages.POST_TRAIN, lambda _folder: {"gpus": 8, "artifact": "c" * 64})
    timing = json.loads(made.run.store.read(layout.timing("post-train", record.key)))
    assert timing["gpus"] == 8
    assert status(made.run).gpu_hours == pytest.approx(8 * timing["seconds"] / 3600)


def test_each_stage_counts_what_it_has_and_what_it_still_has_to_do(made: HandMade) -> None:
    found = status(mixed_run(made).run)
    table = {item.stage: (item.committed, item.missing, item.quarantined, item.failures) for item in found.stages}
    assert table == {"generate": (8, 2, 0, 0), "gate": (7, 3, 0, 2), "label": (5, 3, 1, 3), "replay": (4, 4, 0, 0),
                     "controls": (0, 5, 0, 0)}  # fmt: skip


def test_reasons_are_grouped_and_shown_with_an_example_and_the_next_command(made: HandMade) -> None:
    found = status(mixed_run(made).run)
    (reason,) = found.quarantine_reasons
    assert (reason.stage, reason.error, reason.count) == ("label", "labels are not finite", 1)
    assert found.gate_reasons == {"static": 1, "jump": 1}
    text = found.text()
    assert f"quarantined: 1 in label: labels are not finite (for example {reason.example})" in text
    assert f"leicos run --out {made.run.store.uri} --retry-quarantined" in text
    assert "refused by the gate: 1 static, 1 jump" in text


def test_settings_that_change_make_old_records_missing_again(made: HandMade) -> None:
    mixed_run(made)
    config = configuration(gate={"motion_min": 0.5})
    found = status(dataclasses.replace(made.run, config=config))
    assert (of(found, "generate").committed, of(found, "gate").committed, found.labelled) == (8, 0, 0)


def test_time_left_is_what_is_missing_at_the_pace_of_the_workers_at_work(made: HandMade) -> None:
    samples = made.plan(10)
    for item in samples[:4]:
        made.commit("generate", item, seconds=100.0)
    made.worker("generate", "w-0", samples[4:5])
    made.worker("generate", "w-1", samples[5:6])
    made.worker("generate", "w-2", [])
    stage = of(status(made.run), "generate")
    assert (stage.workers, stage.seconds_per_sample, stage.samples_per_hour) == (2, 100.0, 72.0)
    assert stage.eta_seconds == pytest.approx(300.0)


def test_without_a_worker_the_time_left_is_unknown(made: HandMade) -> None:
    samples = made.plan(2)
    made.commit("generate", samples[0])
    found = status(made.run)
    assert of(found, "generate").eta_seconds is None
    assert found.eta_seconds is None
    assert "time left unknown" in found.text()


def test_a_second_look_measures_the_pace_itself(made: HandMade) -> None:
    samples = made.plan(10)
    made.commit("generate", samples[0])
    before = status(made.run)
    earlier = before.model_copy(update={"taken": before.taken - 3600.0})
    for item in samples[1:4]:
        made.commit("generate", item)
    stage = of(status(made.run, earlier), "generate")
    assert stage.samples_per_hour == pytest.approx(3.0, rel=0.01)
    assert stage.eta_seconds == pytest.approx(2 * 3600, rel=0.01)


def test_hours_and_cost_come_from_timings_and_the_price_table(made: HandMade) -> None:
    made.idm()
    samples = made.plan(2)
    made.commit("generate", samples[0], seconds=5.0)
    made.timing("generate", "w-0-a", 3600.0, load=900.0)
    made.timing("generate", "w-1-b", 3600.0, load=900.0)
    made.timing("gate", "w-0-a", 3600.0)
    found = status(made.run)
    stage = of(found, "generate")
    assert (stage.hours, stage.load_share, stage.dollars) == (2.0, 0.25, 8.0)
    assert found.gpu_hours == pytest.approx(3.0)
    assert found.dollars == pytest.approx(12.0)
    assert "3.00 GPU-hours, 12.00 dollars" in found.text()


def test_a_killed_worker_without_a_timing_still_counts_by_its_records(made: HandMade) -> None:
    for item in made.plan(2):
        made.commit("generate", item, seconds=1800.0)
    assert of(status(made.run), "generate").hours == pytest.approx(1.0)


def test_records_of_two_commits_are_called_mixed(made: HandMade) -> None:
    samples = made.plan(3)
    made.commit("generate", samples[0], git="aaa")
    made.commit("generate", samples[1], git="bbb")
    made.commit("generate", samples[2], git="bbb")
    found = status(made.run)
    assert found.mixed == ("git",)
    assert found.makers["git"] == {"aaa": 2, "bbb": 2}  # the plan's own record counts too
    assert found.makers["image"] == {"sha256:1": 3}
    assert "mixed git: aaa (2 records), bbb (2 records)" in found.text()


def test_a_run_is_done_when_nothing_is_missing_and_the_report_stands(made: HandMade) -> None:
    made.idm()
    samples = made.plan(2)
    for item in samples:
        made.through(item, "replay")
    made.whole("report")
    assert not status(made.run).done, "controls are missing"
    for item in samples:
        made.commit("controls", item, controls={})
    assert not status(made.run).done, "the report is of a run without controls"
    made.whole("report")
    found = status(made.run)
    assert found.done
    assert found.eta_seconds == 0.0
    assert found.text().splitlines()[-1].endswith("; done")


def test_json_holds_everything_but_this_process_clock(made: HandMade) -> None:
    made.plan(1)
    found = status(made.run)
    assert RunStatus.model_validate_json(found.model_dump_json()).stages == found.stages
    assert "taken" not in found.model_dump()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (5, "5s"), (60, "1min"), (3599, "1h00"), (5400, "1h30"), (90000, "1d1h")],
)
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
