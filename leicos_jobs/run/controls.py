"""Which samples are controlled: a seeded draw of the labelled ones, from seen and unseen demos by their shares.

A sample's rank hashes the seed and its own id, so the order of the plan, workers and retries change nothing, and a plan
that grows keeps those that were drawn unless a new one ranks before them.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leicos_jobs.core.digests import sha256_bytes
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.samples import Sample


@dataclass(frozen=True)
class Candidate:
    """Something that may be drawn. side: of the split. content: what its rank hashes."""

    name: str
    side: str
    content: str


def draw(samples: Sequence[Sample], config: RunConfig, labelled: Callable[[set[str]], set[str]]) -> list[Sample]:
    """At most `replay.controls_at_most` labelled samples of a plan, in plan order.

    labelled: those of a set of ids; it is asked about no more than are needed to find so many.
    """
    chosen = choose([Candidate(sample.id, sample.split, sample.id) for sample in samples], config, labelled)
    return [sample for sample in samples if sample.id in chosen]


def choose(candidates: Sequence[Candidate], config: RunConfig, fit: Callable[[set[str]], set[str]]) -> set[str]:
    """Names of at most `replay.controls_at_most` candidates. fit: see `draw`."""
    chosen = set[str]()
    for side, places in _places(candidates, config.replay.controls_at_most).items():
        own = [item for item in candidates if item.side == side]
        own.sort(key=lambda item: sha256_bytes(f"{config.split.seed}/{item.content}".encode()))
        while places and own:
            asked, own = own[:places], own[places:]
            taken = fit({item.name for item in asked})
            places -= len(taken)
            chosen |= taken
    return chosen


def _places(candidates: Sequence[Candidate], most: int) -> dict[str, int]:
    """Places of each side, in proportion to its candidates; a side that is not empty has one at least."""
    held = sum(item.side == "held_out" for item in candidates)
    seen = len(candidates) - held
    if len(candidates) <= most:
        return {"train": seen, "held_out": held}
    of_held = round(most * held / len(candidates))
    if held and seen and most > 1:
        of_held = min(max(of_held, 1), most - 1)
    return {"train": most - of_held, "held_out": of_held}


def other_demo(sample: Sample, demos: Sequence[str]) -> str | None:
    """The demo whose actions are replayed from this sample's start; None if there is no other than its own.

    demos: sorted digests of the plan's demos. It is the one that follows the sample's id in their order, so demos that
    are added change the choice of few samples.
    """
    place = bisect(demos, sha256_bytes(sample.id.encode()))
    turned = (demos[(place + step) % len(demos)] for step in range(len(demos)))
    return next((demo for demo in turned if demo != sample.demo_sha256), None)


def demos_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Digests of the demos that a plan starts from, sorted."""
    return tuple(sorted({sample.demo_sha256 for sample in samples}))
