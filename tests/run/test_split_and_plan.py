"""Split and plan follow the demos' content: appended demos change nothing of what stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leicos_jobs.core.errors import InputError
from leicos_jobs.run.config import RunConfig
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
