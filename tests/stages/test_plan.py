"""The plan: which samples there are, what each begins with, and what they will cost."""

from __future__ import annotations

import dataclasses
import json
import math
import posixpath
from pathlib import Path

import numpy as np
import pytest
from helpers.leisaac import DemoSpec, read_code, write_recording

from leicos_jobs.core.errors import InputError
from leicos_jobs.media.decode import read_all
from leicos_jobs.run import episodes, layout, starts
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.forecast import forecast
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.plan import CONDITIONING, make_samples
from leicos_jobs.run.results import Results
from leicos_jobs.stages.convert import convert as convert_run
from leicos_jobs.stages.plan import plan

DEMOS, ROWS = 8, 61
BASE = {
    "source": {"task": "Lift the red cube up."},
    "plan": {"samples": 12, "row0": [-1, 16], "samples_per_worker": 5},
    "generate": {"backend": "cosmos-predict2.5", "frames": 210, "width": 640, "height": 480},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("plan")
    source = write_recording(folder / "demos.hdf5", [DemoSpec(rows=ROWS) for _ in range(DEMOS)])
    config = RunConfig.model_validate(BASE | {"source": {**BASE["source"], "files": [str(source)]}})
    made = create_run(str(folder / "run"), config)
    convert_run(made)
    with pytest.raises(InputError, match="post-train is not done"):
        plan(made)
    for stage in ("cosmos-dataset", "post-train"):  # as if trained
        key = str(Results(made).key(stage))
        made.commits.commit_whole(StageRecord(stage=stage, key=key, facts={"artifact": "a" * 64}))
    plan(made)
    return made


def changed(run: Run, **sections: dict[str, object]) -> RunConfig:
    old = run.config.model_dump(mode="json")
    return RunConfig.model_validate(old | {name: old[name] | new for name, new in sections.items()})


def test_samples_go_evenly_over_the_demos_and_a_quarter_are_unseen(run: Run) -> None:
    samples = Results(run).samples()
    sides = episodes.split(episodes.read(run), run.config)
    held = [*sides.values()].count("held_out")
    assert 0 < held < DEMOS
    assert len({sample.id for sample in samples}) == len(samples) == 12
    assert [sample.split for sample in samples].count("held_out") == 3
    assert all(sample.split == sides[sample.episode] for sample in samples)
    for side, share, demos in (("train", 9, DEMOS - held), ("held_out", 3, held)):
        counts = [[s.episode for s in samples if s.split == side].count(e) for e in sides if sides[e] == side]
        assert max(counts) - min(counts) <= 1
        assert max(counts) == math.ceil(share / demos)


def test_about_a_quarter_of_many_demos_are_unseen_and_more_demos_move_none(run: Run) -> None:
    one = episodes.read(run)[0]
    many = [one.model_copy(update={"episode_index": k, "demo_sha256": f"{k:064x}"}) for k in range(1000)]
    sides = episodes.split(many, run.config)
    assert 0.2 < [*sides.values()].count("held_out") / 1000 < 0.3
    assert episodes.split(many[:500], run.config).items() <= sides.items()
    for config in (changed(run, split={"seed": seed}) for seed in range(8)):
        assert set(episodes.split(many[:2], config).values()) == {"train", "held_out"}


def test_row0_goes_round_first_and_the_seed_after_it(run: Run) -> None:
    first = episodes.read(run)[0].first_row
    by_demo: dict[int, list[tuple[int, int]]] = {}
    for sample in make_samples(episodes.read(run), changed(run, plan={"samples": 40, "held_out_share": 0}), None):
        by_demo.setdefault(sample.episode, []).append((sample.row0, sample.seed))
    seeds = range(21, 21 + 3 * 20, 3)  # 210 frames are three autoregressive chunks of 77 frames
    wanted = [(row, seed) for seed in seeds for row in (first, 16)]
    assert by_demo
    for found in by_demo.values():
        assert found == wanted[: len(found)]


def test_each_clip_and_start_state_is_its_own_demos_at_row0(run: Run, tmp_path: Path) -> None:
    items = {item.episode_index: item for item in episodes.read(run)}
    for sample in Results(run).samples():
        start = starts.read(run, sample.start)
        frames = read_all(starts.fetch_clip(run, start, tmp_path))
        assert len(frames) == CONDITIONING
        number = int(sample.demo.removeprefix("demo_"))
        stride = items[sample.episode].stride
        shown = [read_code(frame) for frame in frames]
        assert shown == [(number, (sample.row0 + k * stride) // stride) for k in range(CONDITIONING)]
        assert np.ravel(start.state["rigid_object/cube/root_pose"])[:2] == pytest.approx(
            [0.1 * number, 0.001 * sample.row0]
        )


def test_the_batch_file_says_what_the_tutorial_says(run: Run) -> None:
    record = Results(run).needed("plan")
    lines = [json.loads(line) for line in run.commits.read_lines(record, layout.BATCH)]
    for line, sample in zip(lines, Results(run).samples(), strict=True):
        assert line["name"] == sample.id
        assert line["seed"] == sample.seed
        assert line["guidance"] == 7
        assert line["resolution"] == "480,640"
        assert line["num_output_frames"] == 210
        assert (line["chunk_size"], line["chunk_overlap"]) == (77, 1)
        assert line["enable_autoregressive"] is True
        assert line["inference_type"] == "video2world"
        clip = layout.clip(sample.start, starts.read(run, sample.start).clip_sha256)
        assert posixpath.normpath(f"{record.folder}/{line['input_path']}") == clip
        assert run.store.size(clip)


@pytest.mark.parametrize("row0", [0, 17, 9999])
def test_a_row_that_cannot_start_a_video_is_refused(run: Run, row0: int) -> None:
    with pytest.raises(InputError, match=r"plan\.row0") as caught:
        make_samples(episodes.read(run), changed(run, plan={"row0": [row0]}), None)
    assert "use rows" in str(caught.value.fix)


def test_identities_follow_what_decides_a_video_and_nothing_else(run: Run) -> None:
    items = episodes.read(run)

    def ids(checkpoint: str | None = None, **sections: dict[str, object]) -> list[str]:
        return [sample.id for sample in make_samples(items, changed(run, **sections), checkpoint)]

    same = ids()
    assert ids(plan={"workers": 7}, gate={"motion_min": 0.1}, curate={"require_success": False}) == same
    for other in (
        ids("another checkpoint"),
        ids(plan={"first_seed": 22}),
        ids(prompt={"use_prompt": False}),
        ids(generate={"frames": 93}),
        ids(generate={"width": 320, "height": 240}),
    ):
        assert not set(other) & set(same)


def test_the_forecast_counts_what_the_plan_will_hold(run: Run) -> None:
    found = forecast(open_run(run.store.uri))
    assert (found.samples, found.held_out, found.workers) == (12, 3, 3)
    cost = run.config.cost
    hours = (12 * cost.generate_seconds + 3 * cost.load_seconds) / 3600
    assert found.gpu_hours == pytest.approx(hours)
    assert found.dollars == pytest.approx(hours * cost.dollars_per_hour["generate"])
    assert found.seconds_generated == pytest.approx(7.0)
    held = [*episodes.split(episodes.read(run), run.config).values()].count("held_out")
    demos = min(9, DEMOS - held) + min(3, held)
    assert f"12 samples from {demos} demos (3 from demos that the IDM never sees)" in found.text()
    assert "warning" not in found.text()


def test_the_forecast_warns_of_videos_that_end_before_the_task(run: Run) -> None:
    short = dataclasses.replace(run, config=changed(run, generate={"frames": 12}, plan={"row0": [-1]}))
    assert "warning: the task cannot finish" in forecast(short).text()
