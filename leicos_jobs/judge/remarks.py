"""What is weak though no check is red: for whoever wants better labels, and so that green lines need not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FLIPS = 1.5
"""Labels that change their direction so many times as often as the true actions are worth a remark, ..."""
FLIPS_LEAST = 0.03
"""... if that is so much more of the rows."""
FEW_HELD_OUT = 3
"""With fewer held-out demos the errors on them say little."""
DUPLICATES = 0.1
"""Share of episodes with a near duplicate from which on it is said."""


def remarks(numbers: Mapping[str, Any], joints: Sequence[str]) -> list[str]:
    """Sentences. numbers: of the score, with `coverage`."""
    found: list[str] = []
    judged = numbers["idm"].get("held_out_demos")
    if judged:
        found += _joints(judged["windows"], joints)
        found += _flips(judged)
        if judged["episodes"] < FEW_HELD_OUT:
            found.append(f"The labels were measured on {judged['episodes']} held-out demos alone: record more.")
    near = numbers.get("coverage", {}).get("near", {})
    if near.get("compared") and near["count"] > DUPLICATES * near["compared"]:
        share = near["count"] / near["compared"]
        found.append(f"{share:.0%} of the synthetic episodes have a near duplicate among the others: they add little.")
    if same := near.get("same_video"):
        found.append(f"{same} synthetic episodes have the very video of another one.")
    return found


def _joints(windows: Mapping[str, Any], joints: Sequence[str]) -> list[str]:
    """Joints whose labels are no better than a constant."""
    ours, base = windows["labels_deg"], windows["first_row_deg"]
    pairs = zip(joints, ours, base, strict=True)
    weak = [name for name, mine, other in pairs if mine is not None and other is not None and mine >= other]
    if not weak:
        return []
    named = ", ".join(name.replace("_", " ") for name in weak)
    return [f"On held-out demos the labels of {named} are no better than holding the window's first action."]


def _flips(judged: Mapping[str, Any]) -> list[str]:
    def mean(values: Sequence[float | None]) -> float:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else 0.0

    ours, true = mean(judged["sign_flips_labels"]), mean(judged["sign_flips_truth"])
    if ours < FLIPS * true or ours - true < FLIPS_LEAST:
        return []
    often = f"{ours / true:.1f} times as often as the true actions" if true else "though the true actions do not"
    said = f"Labels change their direction {often} ({ours:.0%} of the rows against {true:.0%})."
    return [f"{said} A Hann mean over neighbouring rows smooths them (label.settings, see the schema)."]
