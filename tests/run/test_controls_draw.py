"""Which samples are controlled: a draw by content, by the shares of seen and unseen demos, stable when a plan grows."""

from __future__ import annotations

import hashlib
import random

import pytest

from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.controls import demos_of, draw, other_demo
from leicos_jobs.run.samples import Sample

DEMOS = [hashlib.sha256(f"demo {number}".encode()).hexdigest() for number in range(12)]


def made(number: int) -> Sample:
    demo = number % len(DEMOS)
    return Sample(
        id=hashlib.sha256(f"sample {number}".encode()).hexdigest()[:20], demo=f"demo_{demo}", demo_sha256=DEMOS[demo],
        episode=demo, split="held_out" if demo % 4 == 0 else "train", row0=5, frames=9, prompt="", seed=number,
        start="start",
    )  # fmt: skip


PLAN = [made(number) for number in range(240)]


def config(most: int = 40, seed: int = 0) -> RunConfig:
    said = {"source": {"files": ["a"], "task": "Lift."}, "replay": {"controls_at_most": most}, "split": {"seed": seed}}
    return RunConfig.model_validate(said)


def ids(samples: list[Sample]) -> set[str]:
    return {sample.id for sample in samples}


def everyone(asked: set[str]) -> set[str]:
    return asked


def test_a_small_plan_is_controlled_whole_and_in_its_order() -> None:
    assert draw(PLAN[:40], config(), everyone) == PLAN[:40]
    assert draw(PLAN, config(0), everyone) == []


def test_both_sides_of_the_split_are_drawn_by_their_shares() -> None:
    drawn = draw(PLAN, config(), everyone)
    assert len(drawn) == 40
    assert sum(sample.split == "held_out" for sample in drawn) == 10
    one_unseen = [sample for sample in PLAN if sample.split == "train"] + [made(0)]
    assert made(0) in draw(one_unseen, config(), everyone), "a side that is not empty has a place"


def test_the_draw_is_the_seeds_and_not_the_orders() -> None:
    shuffled = random.Random(1).sample(PLAN, len(PLAN))
    assert ids(draw(shuffled, config(), everyone)) == ids(draw(PLAN, config(), everyone))
    assert ids(draw(PLAN, config(seed=1), everyone)) != ids(draw(PLAN, config(), everyone))


def test_a_plan_that_grows_keeps_what_was_drawn_but_for_what_the_new_ones_displace() -> None:
    before = ids(draw(PLAN[:216], config(), everyone))
    after = ids(draw(PLAN, config(), everyone))
    assert len(before & after) >= 30, "40 places, 24 more of 240: about 4 are displaced"
    assert after - before <= ids(PLAN[216:])


def test_the_places_of_samples_without_labels_go_to_others_and_no_more_is_asked_than_needed() -> None:
    labelled = ids(PLAN[::3])
    asked: list[str] = []

    def known(names: set[str]) -> set[str]:
        asked.extend(names)
        return names & labelled

    drawn = draw(PLAN, config(), known)
    assert len(drawn) == 40
    assert ids(drawn) <= labelled
    assert len(asked) == len(set(asked)) <= 40 * 3 + 40
    assert ids(draw(PLAN, config(200), lambda names: names & labelled)) == labelled, "fewer than there are places"


@pytest.mark.parametrize("sample", PLAN[:24])
def test_the_other_demo_is_never_the_samples_own_and_few_change_when_one_is_added(sample: Sample) -> None:
    other = other_demo(sample, demos_of(PLAN))
    assert other in set(DEMOS) - {sample.demo_sha256}
    assert other_demo(sample, (sample.demo_sha256,)) is None
    added = "8" * 64
    assert other_demo(sample, sorted({*DEMOS, added})) in (other, added)
