"""A gate that refuses too much stops the run with what to look at, before more videos are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.leisaac import DemoSpec, write_recording

pytest.importorskip("PIL")
from PIL import Image

from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.run import calibration, check, refusals
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.orphans import orphans
from leicos_jobs.run.results import Results
from leicos_jobs.stages.convert import convert
from leicos_jobs.stages.fan_in import fan_in
from leicos_jobs.stages.gate import GateStage, source_scores
from leicos_jobs.stages.generate import GenerateStage
from leicos_jobs.stages.plan import plan
from leicos_jobs.stages.plan_round import plan_round
from leicos_jobs.work.worker import Worker

NONE_PASSES = {"checks": ["start-frame"], "start_psnr_min": 98, "refused_videos_min": 3}


def config(source: Path, **gate: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "source": {"files": [str(source)], "task": "Lift."},
            "plan": {"samples": 4, "held_out_share": 0},
            "generate": {"backend": "echo", "frames": 12, "width": 64, "height": 48},
            "gate": NONE_PASSES | gate,
        }
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    specs = [DemoSpec(rows=60, number=number, seed=number) for number in range(6)]
    return write_recording(tmp_path_factory.mktemp("source") / "demos.hdf5", specs)


def planned(folder: Path, source: Path, **gate: Any) -> Run:
    run = create_run(str(folder / "run"), config(source, **gate))
    convert(run)
    plan(run)
    return run


def work(run: Run, first: int, last: int) -> None:
    samples = Results(run).samples()[first:last]
    Worker(GenerateStage(run), samples, f"w-{first}").work()
    Worker(GateStage(run), samples, f"w-{first}").work()


def test_too_many_refusals_stop_the_run_before_more_is_generated(tmp_path: Path, source: Path) -> None:
    run = planned(tmp_path, source)
    work(run, 0, 2)  # two of two refused: too few to judge the generator by
    with pytest.raises(InputError, match=r"refused 3 of 3 videos(.|\n)*3 x start-frame") as caught:
        work(run, 2, 3)

    fix = str(caught.value.fix)
    assert "gate.refused_share_max" in fix
    sheet = Path(fix.removeprefix("look at ").partition(";")[0])
    assert Image.open(sheet).width > 500
    with pytest.raises(InputError, match="refused 3 of 3"):
        Worker(GenerateStage(run), Results(run).samples()[3:], "w-3").work()
    with pytest.raises(InputError, match="refused 3 of 3"):
        plan_round(run, "later", 1)
    with pytest.raises(InputError, match="refused 3 of 3"):
        fan_in(run, "w")
    assert not check.check(run.store.uri).damaged

    assert not [key for key in orphans(run) if key.startswith(("calibrations/", "stops/"))]

    raised = create_run(run.store.uri, config(source, refused_share_max=1.0), amend=True)
    refusals.require_few(Results(raised))
    assert [key.rpartition(".")[2] for key in orphans(raised) if key.startswith("stops/")] == ["json", "png"]
    work(raised, 3, 4)
    assert all(state.refused == "start-frame" for state in Results(raised).samples_standing.states)


def test_a_run_of_which_all_is_refused_is_the_users_to_correct(tmp_path: Path, source: Path) -> None:
    run = planned(tmp_path, source, refused_videos_min=100)
    work(run, 0, 4)
    with pytest.raises(InputError, match=r"none of 4 samples is labelled: the gate refused 4(.|\n)*4 x start-frame"):
        fan_in(run, "w")


def test_a_run_of_which_nothing_is_done_is_none(tmp_path: Path, source: Path) -> None:
    with pytest.raises(DefectError):
        fan_in(planned(tmp_path, source), "w")


def test_the_source_is_scored_once_and_another_camera_of_frames_again(tmp_path: Path, source: Path) -> None:
    run = planned(tmp_path, source)
    results = Results(run)
    assert calibration.find(results) is None
    scores = source_scores(results)
    assert len(scores["contrast"]) == 6
    key = f"calibrations/{calibration.find(results).key}.json"  # type: ignore[union-attr]
    assert list(run.store.list("calibrations/")) == [key]
    assert source_scores(Results(run)) == scores

    Path(run.store.uri, key).write_bytes(b"{}")
    with pytest.raises(InputError, match="damaged"):
        source_scores(Results(run))
    assert check.check(run.store.uri, repair=True).damaged[0].key == key
    assert source_scores(Results(run)) == scores
