"""The report's first word: train on this dataset, or not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DatasetVerdict:
    """good: train on it. text: the whole sentence, with the reason."""

    good: bool
    text: str


def verdict(
    assembled: Mapping[str, Any],
    curated: Mapping[str, Any],
    failed_checks: Sequence[str],
    reasons: Counter[str],
    generator: str,
) -> DatasetVerdict:
    """What the run says of its dataset. assembled, curated: facts of these stages. reasons: why samples were left out.
    generator: name of the backend."""
    episodes = int(assembled.get("episodes", 0))
    if not episodes:
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3)) or "no sample was made"
        return DatasetVerdict(False, f"There is nothing to train on: no sample passed curation ({why}).")
    if unproven := int(curated.get("accepted_unproven", 0)):
        return DatasetVerdict(
            False, f"Do not train on this: {unproven} of {episodes} episodes have labels that the checks refused."
        )
    if failed_checks:
        return DatasetVerdict(False, f"Do not train on this yet: failed checks {', '.join(failed_checks)}.")
    if generator == "echo":
        text = "Do not train on this: its videos are the real demos once more. Its labels are good."
        return DatasetVerdict(False, text)
    by_checks = int(curated.get("judged_by_checks", 0))
    how = "the run's checks of its labels are green" if by_checks else "the task is done in replay"
    return DatasetVerdict(True, f"Train on this: {episodes} episodes; {how}, and no check failed.")


def unfinished(why: Sequence[str]) -> DatasetVerdict:
    """Of a run without a result. why: what failed; empty while it is at work."""
    if why:
        return DatasetVerdict(False, "This run has failed, and there is no dataset. Why stands below.")
    return DatasetVerdict(
        False, "This run is not finished: there is no dataset yet. This page shows what is there so far."
    )
