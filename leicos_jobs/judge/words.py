"""What the report's words mean, for where they stand."""

from __future__ import annotations

WORDS = {
    "agreement": "Share of samples whose labels end as their true actions do: both succeed, or both fail.",
    "ceiling": "Replay of the true actions: no labels can be expected to do better.",
    "checks": "Each compares two things that only differ if a known mistake was made: a shift by a row, wrong units, "
    "swapped videos, a wrong start. Green means that this mistake was not made, not that there is no other.",
    "controls": "Replays for comparison: true actions (ceiling), another demo's actions, and the labels in shuffled "
    "rows (floors). They decide nothing about a sample.",
    "demo": "One recorded demonstration by teleoperation.",
    "first-order response": "Each joint goes a fixed share of the way to its target in each row.",
    "floor": "Replay of actions that are wrong on purpose: how often the task is done by chance.",
    "gate": "Checks of a video before it is labelled: its start, contrast, detail, motion, colours. The limits are "
    "relative to the scores of the recorded videos.",
    "held out": "A demo that the IDM was not trained on; so its errors there are those to expect on new videos.",
    "IDM": "Inverse dynamics model: it predicts the actions between the frames of a video.",
    "label": "The actions that the IDM gave to a generated video; one row per frame.",
    "lag-1 autocorrelation": "How much a joint's velocity resembles that of the row before: near 1 is smooth, below 0 "
    "jitters.",
    "motor units": "LeRobot's units of a joint: -100 to 100, gripper 0 to 100.",
    "near duplicate": "Two episodes whose labels differ by less than a degree on average, joint by joint, row by row.",
    "of ceiling": "Of the samples whose true actions succeed, the share whose labels succeed too.",
    "quarantined": "Set aside after repeated failures, with its error; the run goes on without it.",
    "refused": "The gate found a defect in the video; it is not labelled.",
    "replay": "The simulator follows the labels from the state in which the video begins.",
    "row0": "The recording's row that the first frame of the video shows.",
    "sign flips": "Share of rows in which a joint's velocity changes its direction: teleoperation has a few per cent, "
    "noise two thirds.",
    "tracking error": "How far the simulated arm is from its targets. A smooth label is followed well, right or wrong.",
    "window": "16 rows in a row in which the arm moves.",
}


def chosen(*names: str) -> list[tuple[str, str]]:
    """Words with what they mean, in the given order. Raises KeyError for a word that has no meaning here."""
    return [(name, WORDS[name]) for name in names]
