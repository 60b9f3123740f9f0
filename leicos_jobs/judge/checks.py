"""Named checks on a finished run: each is red if a known way of mislabelling happened. The report shows all of them.

They use what a run without truth has, too: the IDM's labels on the real videos of held-out demos, the demos' own
replays, and the clips. A red check does not stop the pipeline; it is in the report and in the
exit message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.judge.gate_scores import start_psnr
from leicos_jobs.robots.embodiment import Embodiment

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

LAGS = range(-4, 5)
LAG_GAIN = 0.97
"""Another lag must be better by 3 % to count: the commanded action leads the picture smoothly."""
JITTER_MAX = 0.25
"""Share of velocity sign flips beyond the true actions' own."""
REPRODUCED_MIN = 0.8
TRUTH_AGREES_MIN = 0.9
CLIP_PSNR_MIN = 30.0
"""dB. In our scene a clip has 41 against its own frames and 39 against those ten frames later, but 23 to 26 against the
demo's end or another demo's beginning: the background is the same."""
UNITS_GAIN = 0.8
"""Another reading of the numbers must fit by a fifth better to count: a poor IDM fits none."""
SWAP_GAIN = 0.5
"""Two samples count as swapped if each other's truth fits them twice as well: two poor labels are not a swap."""
SWAPS_CHECKED = 256
STATE_ERROR_MAX = 0.02
"""Radians between a start state and the recorded observation at that row."""
RATE_ERROR_MAX = 1e-3
"""Share of the frame rate: a container's clock may be coarse."""


@dataclass(frozen=True)
class Check:
    """A verdict. `text` says what was compared, with all numbers. `brief`: without those of them that look bad and are
    good enough, for the report, where a green line must say nothing red; empty where it is the text itself."""

    name: str
    passed: bool
    text: str
    brief: str = ""

    @property
    def shown(self) -> str:
        """What the report says."""
        return self.brief if self.passed and self.brief else self.text


def alignment(labels: Sequence[F32], truths: Sequence[F32]) -> Check:
    """Row k must belong to frame k: no shift of labels against true actions fits clearly better than none.

    Red for labels shifted by a frame or a stride.
    """
    errors = {lag: _shifted_error(labels, truths, lag) for lag in LAGS}
    best = min(errors, key=lambda lag: errors[lag])
    passed = best == 0 or errors[best] > LAG_GAIN * errors[0]
    text = f"error {errors[0]:.2f} motor units at no shift, best {errors[best]:.2f} at a shift of {best} rows"
    brief = f"error {errors[0]:.2f} motor units at no shift, and no shift fits clearly better" if best else ""
    return Check("alignment", passed, text, brief)


def _shifted_error(labels: Sequence[F32], truths: Sequence[F32], lag: int) -> float:
    total, count, edge = 0.0, 0, max(LAGS)
    for label, truth in zip(labels, truths, strict=True):
        rows = np.arange(edge, len(truth) - edge)
        total += float(np.abs(label[rows + lag] - truth[rows]).sum())
        count += rows.size * truth.shape[1]
    return total / max(1, count)


def units(labels: Sequence[F32], truths: Sequence[F32], robot: Embodiment) -> Check:
    """Labels must be motor units of these joints. Red if the true actions fit them clearly better once read as degrees,
    or with the gripper (or whatever joint has a one-sided range) the wrong way round."""
    limits = robot.action.motor_limits()
    one_sided = (limits[:, 0] == 0).nonzero()[0]

    def inverted(actions: F32) -> F32:
        turned = actions.copy()
        turned[:, one_sided] = limits[one_sided, 1] - actions[:, one_sided]
        return turned

    readings = {
        "motor units": lambda actions: actions,
        "degrees": robot.action.in_units,
        "an inverted gripper": inverted,
    }
    errors = {
        name: float(np.concatenate([np.abs(a - read(b)) for a, b in zip(labels, truths, strict=True)]).mean())
        for name, read in readings.items()
    }
    best = min(errors, key=lambda name: errors[name])
    said = ", ".join(f"{error:.2f} as {name}" for name, error in errors.items())
    passed = best == "motor units" or errors[best] > UNITS_GAIN * errors["motor units"]
    brief = f"labels differ from the true actions by {errors['motor units']:.2f}, and no other unit fits clearly better"
    text = f"labels differ from the true actions by {said}"
    return Check("units", passed, text, "" if best == "motor units" else brief)


def own_truth(labels: Mapping[str, F32], truths: Mapping[str, F32]) -> Check:
    """No two samples may fit each other's true actions and not their own. Red for labels that changed places.

    By sample, (frames, width) each; the first SWAPS_CHECKED, since every pair is looked at.
    """
    names = sorted(labels)[:SWAPS_CHECKED]
    rows = min((len(truths[name]) for name in names), default=0)
    true = np.array([truths[name][:rows] for name in names])
    errors = np.array([np.abs(true - labels[name][:rows]).mean(axis=(1, 2)) for name in names])
    own = np.diagonal(errors)
    swapped = errors + errors.T < SWAP_GAIN * (own[:, None] + own[None, :])
    pairs = [(names[one], names[other]) for one, other in np.argwhere(np.triu(swapped, 1))]
    text = f"{len(pairs)} pairs of {len(names)} generated samples fit each other's true actions better than their own"
    return Check("own-truth", not pairs, text + (f"; {pairs[0][0]} and {pairs[0][1]}" if pairs else ""))


def accuracy(judged: Mapping[str, Any], joints: Sequence[str]) -> list[Check]:
    """Labels must beat both baselines that know no video, over windows in which the arm moves.

    Red for scrambled rows, wrong normalisation (stats.json), swapped videos.
    """
    windows = judged["windows"]
    checks = []
    for name, text in (("first_row", "the window's first action"), ("mean_action", "the mean demo action")):
        ours, base = np.array(windows["labels_deg"], float), np.array(windows[f"{name}_deg"], float)
        worse = [joint for joint, mine, other in zip(joints, ours, base, strict=True) if mine >= other]
        mean = f"mean error {ours.mean():.2f} degrees against {base.mean():.2f} of {text}"
        passed = bool(ours.mean() < base.mean()) and (name != "mean_action" or not worse)
        suffix = f"; no better for {', '.join(worse)}" if worse else ""
        checks.append(Check(f"beats-{name.replace('_', '-')}", passed, mean + suffix, mean))
    return checks


def smoothness(judged: Mapping[str, Any]) -> Check:
    """Labels must not jitter: velocity signs flip hardly more often than the true actions'. Red for scrambled order."""
    ours = np.nanmean(np.array(judged["sign_flips_labels"], float))
    true = np.nanmean(np.array(judged["sign_flips_truth"], float))
    text = f"velocity flips its sign in {ours:.0%} of the rows, {true:.0%} in the true actions"
    return Check("smoothness", bool(ours - true <= JITTER_MAX), text)


def reproduction(controls: Mapping[str, Mapping[str, ReplayMetrics]]) -> list[Check]:
    """The demos' own actions must succeed again. Red for replay from another demo's state, from a wrong row, at a wrong
    rate, or in wrong units."""
    checks = []
    for group, text in (("demo", "full rate"), ("demo_resampled", "dataset rows")):
        outcomes = [bool(item.success) for item in controls[group].values()]
        share = float(np.mean(outcomes)) if outcomes else 0.0
        said = f"{sum(outcomes)} of {len(outcomes)} demos succeed again with their own actions at {text}"
        checks.append(Check(f"reproduces-{group.replace('_', '-')}", share >= REPRODUCED_MIN, said))
    return checks


def truth_reproduction(outcomes: Sequence[tuple[bool, bool]]) -> Check:
    """A sample's true actions must do in replay what they did when its video was made. Red for replay from another
    demo's state or from row 0. outcomes: (success when made, success in replay) of each sample."""
    agree = sum(made == again for made, again in outcomes)
    share = agree / len(outcomes) if outcomes else 0.0
    text = f"{agree} of {len(outcomes)} samples' true actions end in replay as they did when the video was made"
    return Check("reproduces-truth", share >= TRUTH_AGREES_MIN, text)


def conditioning(pairs: Sequence[tuple[U8, U8]], starts: Sequence[tuple[F32, F32]]) -> list[Check]:
    """Clips and start states must be the demo's at row0. Red for conditioning on the demo's end, or another's state.

    pairs: (clip, the dataset's frames at row0) as (n, H, W, 3). starts: (joint positions of the start state, recorded
    observation at row0), radians.
    """
    worst = min((start_psnr(clip, frames) for clip, frames in pairs), default=0.0)
    clip = Check("clip-is-row0", worst >= CLIP_PSNR_MIN, f"worst clip against its demo at row0: {worst:.1f} dB")
    gap = max((float(np.abs(start - seen).max()) for start, seen in starts), default=np.inf)
    text = f"start states differ from the recorded joints by at most {gap:.4f} rad"
    return [clip, Check("start-is-row0", gap <= STATE_ERROR_MAX, text)]


def time_base(rates: Mapping[str, float], expected: float) -> Check:
    """Every video must play at control_hz / stride. Red where a nominal 16 fps is believed. rates: video -> fps."""
    wrong = sorted(name for name, fps in rates.items() if abs(fps - expected) > RATE_ERROR_MAX * expected)
    text = f"{len(rates) - len(wrong)} of {len(rates)} videos play at {expected:g} frames/s"
    if wrong:
        text += f"; {wrong[0]} at {rates[wrong[0]]:g}"
    return Check("time-base", not wrong, text)


def ownership(items: Sequence[tuple[str, str | None, str | None]]) -> Check:
    """Every table of labels must name its own video. Red for swapped files. items: sample, video, the table's video."""
    wrong = [sample for sample, video, seen in items if video != seen]
    text = f"{len(items) - len(wrong)} of {len(items)} labels name the digest of their own video"
    return Check("ownership", not wrong, text + (f"; wrong: {wrong[0]}" if wrong else ""))
