"""Split and plan follow the demos' content: appended demos change nothing of what stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.videos import foreign, images
from hypothesis import given, settings
from hypothesis import strategies as st

from leicos_jobs.core.errors import InputError
from leicos_jobs.run.config import GenerateConfig, RunConfig
from leicos_jobs.run.episodes import Episode, split
from leicos_jobs.run.plan import make_samples
from leicos_jobs.run.samples import Sample


def demo(number: int, content: str | None = None, frames: int = 60) -> Episode:
    digest = hashlib.sha256((content or f"demo {number}").encode()).hexdigest()
    return Episode(
        episode_index=number, file="a.hdf5", demo=f"demo_{number}", demo_sha256=digest, tables_sha256=digest,
        first_row=5, stride=2, frames=frames, control_hz=60,
    )  # fmt: skip


def demos(count: int) -> list[Episode]:
    return [demo(number) for number in range(count)]


def configuration(**plan: object) -> RunConfig:
    return RunConfig.model_validate(
        {"source": {"files": ["a.hdf5"], "task": "Lift."}, "generate": {"backend": "mujoco"}, "plan": plan}
    )


def seeded(seed: int, share: float) -> RunConfig:
    return RunConfig.model_validate(
        {"source": {"files": ["a.hdf5"], "task": "Lift."}, "split": {"seed": seed, "held_out_share": share}}
    )


def made(items: Sequence[Episode], config: RunConfig) -> list[Sample]:
    return make_samples(items, config, None)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 40), st.integers(0, 5), st.floats(0, 0.99))
def test_appended_demos_keep_every_old_side(before: int, more: int, seed: int, share: float) -> None:
    config = seeded(seed, share)
    old, new = split(demos(before), config), split(demos(before + more), config)
    assert {index: new[index] for index in old} == old


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(0, 5), st.floats(0.01, 0.99))
def test_neither_side_is_empty(count: int, seed: int, share: float) -> None:
    assert set(split(demos(count), seeded(seed, share)).values()) == {"train", "held_out"}


def test_without_a_share_and_with_one_demo_all_are_trained_on() -> None:
    assert set(split(demos(9), seeded(0, 0.0)).values()) == {"train"}
    assert split(demos(1), seeded(0, 0.5)) == {0: "train"}
    assert split([], seeded(0, 0.5)) == {}


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 5))
def test_equal_content_is_on_one_side(contents: list[int], seed: int) -> None:
    items = [demo(place, f"content {number}") for place, number in enumerate(contents)]
    sides = split(items, seeded(seed, 0.5))
    for number in set(contents):
        assert len({sides[item.episode_index] for item, own in zip(items, contents, strict=True) if own == number}) == 1


def test_the_share_is_about_what_was_asked() -> None:
    sides = list(split(demos(2000), seeded(0, 0.25)).values())
    assert 400 < sides.count("held_out") < 600


def test_sides_do_not_depend_on_names_or_on_the_order_in_which_episodes_are_given() -> None:
    items = demos(20)
    renamed = [item.model_copy(update={"file": "b.hdf5", "demo": "x"}) for item in items]
    config = seeded(3, 0.25)
    assert split(renamed, config) == split(items, config) == split(items[::-1], config)


def test_another_seed_gives_another_split() -> None:
    assert split(demos(40), seeded(0, 0.5)) != split(demos(40), seeded(1, 0.5))


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(1, 12), st.integers(1, 40))
def test_appended_demos_keep_the_ids_of_the_samples_that_old_demos_still_get(
    before: int, more: int, samples: int
) -> None:
    """With more demos an old one gets fewer samples: the first of those that it had."""
    old, new = (
        made(demos(before), configuration(samples=samples)),
        made(demos(before + more), configuration(samples=samples)),
    )
    kept = {sample.id for sample in new if sample.episode < before}
    for episode in range(before):
        had = [sample.id for sample in old if sample.episode == episode]
        has = [sample.id for sample in new if sample.episode == episode]
        shorter = min(len(had), len(has))
        assert has[:shorter] == had[:shorter]
    assert len({sample.id for sample in new}) == samples
    assert kept


def test_a_larger_plan_keeps_all_old_ids() -> None:
    small, large = (made(demos(5), configuration(samples=count)) for count in (8, 40))
    assert {sample.id for sample in small} < {sample.id for sample in large}


def test_a_demo_that_is_there_twice_counts_once() -> None:
    items = demos(4)
    twice = [*items, items[1].model_copy(update={"episode_index": 4, "demo": "demo_4", "file": "copy.hdf5"})]
    config = configuration(samples=12)
    assert made(twice, config) == made(items, config)


def test_ids_do_not_depend_on_names_or_places() -> None:
    items = demos(4)
    renamed = [item.model_copy(update={"file": "b.hdf5", "demo": f"take_{item.episode_index}"}) for item in items]
    config = configuration(samples=12)
    assert [sample.id for sample in made(renamed, config)] == [sample.id for sample in made(items, config)]
    changed = [demo(0, "another take"), *items[1:]]
    old, new = made(items, config), made(changed, config)
    assert {sample.id for sample in old if sample.episode == 0}.isdisjoint(sample.id for sample in new)


def test_the_plans_share_of_held_out_starts_is_kept() -> None:
    plan = made(demos(10), configuration(samples=16, held_out_share=0.5))
    sides = split(demos(10), configuration())
    assert sum(sample.split == "held_out" for sample in plan) == 8
    assert all(sides[sample.episode] == sample.split for sample in plan)


def test_a_row_that_cannot_start_a_video_is_refused_with_those_that_can() -> None:
    with pytest.raises(InputError, match=r"row 6 of demo_\d cannot start a video") as caught:
        made(demos(2), configuration(samples=2, row0=[6]))
    assert "use rows 5, 7, ..." in str(caught.value.fix)
    last = 5 + 2 * (60 - 5)
    assert {sample.row0 for sample in made(demos(2), configuration(samples=2, row0=[last]))} == {last}
    with pytest.raises(InputError, match=f"row {last + 2}"):
        made(demos(2), configuration(samples=2, row0=[last + 2]))


def test_prompts_are_asked_from_every_start_and_come_before_another_seed() -> None:
    plain = made(demos(2), configuration(samples=8, held_out_share=0.5))
    asked = made(demos(2), configuration(samples=8, held_out_share=0.5, prompts=["Lift.", "Push it away."]))
    by_demo = [[(item.task, item.seed) for item in asked if item.demo == f"demo_{number}"] for number in range(2)]
    seeds = sorted({item.seed for item in plain})[:2]
    assert by_demo == [[(text, seed) for seed in seeds for text in ("Lift.", "Push it away.")]] * 2
    assert {item.id for item in asked if item.task == "Lift."} <= {item.id for item in plain}
    assert {item.prompt for item in asked} == {"Lift", "Push_it_away"}


def test_a_demo_has_its_own_task() -> None:
    own = [demo(0).model_copy(update={"task": "Wave."}), demo(1)]
    assert {item.demo: item.prompt for item in made(own, configuration(samples=2))} == {
        "demo_0": "Wave",
        "demo_1": "Lift",
    }


def imported(folder: Path, *lines: dict[str, object]) -> RunConfig:
    (folder / "videos.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for line in lines:
        if not (folder / str(line["file"])).exists():
            foreign(folder / str(line["file"]), images(int(str(line["file"]).split(".")[0])))
    generate = {"backend": "import", "settings": {"folder": str(folder)}}
    return configuration().model_copy(update={"generate": GenerateConfig.model_validate(generate)})


def test_lines_of_import_are_the_plan(tmp_path: Path) -> None:
    lines = (
        {"file": "9.mp4", "demo": "demo_1", "seed": 4},
        {"file": "12.mp4", "demo": "demo_1", "row0": 9, "task": "Push."},
    )
    first, second = made(demos(3), imported(tmp_path, *lines))
    assert (first.demo, first.row0, first.seed, first.frames, first.task) == ("demo_1", 5, 4, 9, "Lift.")
    assert (second.row0, second.frames, second.prompt) == (9, 12, "Push")


def test_a_wrong_line_of_import_is_named(tmp_path: Path) -> None:
    twice = [demo(0), demo(1).model_copy(update={"demo": "demo_0", "file": "b.hdf5"})]
    for line, said in (
        ({"demo": "demo_7"}, r"videos.jsonl:1: there is no demo demo_7"),
        ({"demo": "demo_0"}, r"videos.jsonl:1: several files have a demo_0: a.hdf5, b.hdf5"),
        ({"demo": "demo_0", "source": "b.hdf5", "row0": 6}, r"videos.jsonl:1: plan.row0: row 6"),
    ):
        with pytest.raises(InputError, match=said):
            made(twice, imported(tmp_path, {"file": "9.mp4"} | line))
    (found,) = made(twice, imported(tmp_path, {"file": "9.mp4", "demo": "demo_0", "source": "b.hdf5"}))
    assert found.demo_sha256 == twice[1].demo_sha256
