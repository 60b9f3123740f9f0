"""Plots of the report: success with its controls, error a joint, trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt

INK, LABEL, TRUE, SOFT = "#333333", "#1565c0", "#333333", "#b0bec5"
NAMES = {
    "truth": "true actions",
    "truth_resampled": "true actions,\nat dataset rows",
    "labels": "IDM labels",
    "other_demo": "another demo's\nactions",
    "shuffled": "shuffled rows",
    "demo": "demos,\nfull rate",
    "demo_resampled": "demos,\nresampled",
    "idm_on_real": "IDM on real\nheld-out demos",
}
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "text.color": INK})


def success_bars(table: dict[str, Any], path: Path) -> None:
    """Replay success of labels between ceilings and floors, with 95 % intervals."""
    order = ["demo", "demo_resampled", "idm_on_real", "truth", "truth_resampled", "labels", "other_demo", "shuffled"]
    found = {name: table["all"].get(name) or table.get(name) for name in order}
    rows: dict[str, dict[str, Any]] = {name: item for name, item in found.items() if item and item["count"]}
    figure, axes = plt.subplots(figsize=(8.2, 2.9))
    for index, (name, item) in enumerate(rows.items()):
        share = item["share"]
        axes.bar(index, share, color=LABEL if name == "labels" else SOFT, width=0.62)
        axes.errorbar(
            index, share, yerr=[[share - item["low"]], [item["high"] - share]], color=INK, capsize=3, linewidth=1
        )
        axes.text(index, 1.06, f"{item['successes']}/{item['count']}", ha="center", fontsize=8)
    axes.set_xticks(range(len(rows)), [NAMES[name] for name in rows], fontsize=8)
    axes.set_ylim(0, 1.15)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes.set_ylabel("task done in replay")
    _save(figure, path)


def joint_errors(judged: dict[str, Any], joints: Sequence[str], path: Path, title: str) -> None:
    """Mean absolute error a joint over moving windows: labels beside the two baselines and the previous action."""
    names = {"labels": "IDM labels", "first_row": "window's first action, held", "mean_action": "mean demo action"}
    figure, axes = plt.subplots(figsize=(8.2, 2.6))
    colors = {"labels": LABEL, "first_row": SOFT, "mean_action": "#78909c"}
    for offset, (name, text) in enumerate(names.items()):
        values = judged["windows"][f"{name}_deg"]
        axes.bar(
            np.arange(len(joints)) + (offset - 1) * 0.27,
            [value or 0 for value in values],
            width=0.25,
            label=text,
            color=colors[name],
        )
    axes.set_xticks(range(len(joints)), [name.replace("_", " ") for name in joints])
    axes.set_ylabel("degrees")
    axes.set_title(title, fontsize=9, loc="left")
    axes.legend(
        frameon=False, fontsize=8, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2
    )
    _save(figure, path)


def trajectory(
    labels: NDArray[np.float32], truth: NDArray[np.float32], joints: Sequence[str], fps: float, path: Path, title: str
) -> None:
    """True against labelled action, one panel a joint, in motor units over seconds."""
    figure, panels = plt.subplots(2, 3, figsize=(8.2, 3.6), sharex=True)
    seconds = np.arange(len(labels)) / fps
    for index, (panel, joint) in enumerate(zip(panels.flat, joints, strict=False)):
        panel.plot(seconds, truth[:, index], color=TRUE, linewidth=1.1, label="true")
        panel.plot(seconds, labels[:, index], color=LABEL, linewidth=1.0, alpha=0.85, label="labelled")
        panel.set_title(joint.replace("_", " "), fontsize=8, loc="left")
        panel.tick_params(labelsize=7)
    panels.flat[0].legend(frameon=False, fontsize=7)
    for panel in panels[-1]:
        panel.set_xlabel("s", fontsize=7)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    _save(figure, path)


def gate_scores(table: dict[str, Any], path: Path) -> None:
    """Every score of the gate: a mark per video, real ones above, and the limits; each panel has its own scale."""
    sides = {"source": ("real", SOFT), "passed": ("passed", LABEL), "refused": ("refused", "#b73a2c")}
    figure, panels = plt.subplots(-(-len(table) // 3), 3, figsize=(8.2, 0.95 * -(-len(table) // 3)), squeeze=False)
    for panel, (name, score) in zip(panels.flat, table.items(), strict=False):
        for row, (side, (_, color)) in enumerate(sides.items()):
            panel.plot(score[side], [-row] * len(score[side]), "|", color=color, markersize=9)
        for limit in score["limits"]:
            if limit is not None:
                panel.axvline(limit, color=INK, linewidth=0.8, linestyle="--")
        panel.set_title(name.replace("_", " "), fontsize=8, loc="left")
        panel.set_yticks([0, -1, -2], [text for text, _ in sides.values()], fontsize=6)
        panel.set_ylim(-2.6, 0.6)
        panel.tick_params(axis="x", labelsize=6)
    for panel in panels.flat[len(table) :]:
        panel.axis("off")
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
