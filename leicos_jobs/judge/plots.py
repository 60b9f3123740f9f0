"""Plots of the report: success with its controls, error a joint, trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("Agg")
from matplotlib import pyplot as plt

INK, LABEL, TRUE, SOFT, REAL = "#333333", "#1565c0", "#333333", "#b0bec5", "#8d6e63"
"""Told apart by lightness too, for print and for those who see no colours."""
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
SPAN = 20
"""A curve whose largest value is so many times its least one has a logarithmic axis."""
LINES: dict[str, dict[str, Any]] = {
    "true": {"color": TRUE, "linewidth": 2.4, "alpha": 0.45},
    "its demo": {"color": REAL, "linewidth": 1.0, "linestyle": ":"},
    "labelled": {"color": LABEL, "linewidth": 1.1},
}
"""How the actions of a sample are drawn: the generator's truth, the demo that it began from, labels."""
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
    lines: Mapping[str, NDArray[np.float32]], joints: Sequence[str], fps: float, path: Path, title: str
) -> None:
    """Actions over time, one panel a joint, in motor units over seconds. lines: of LINES, (rows, joints) each."""
    figure, panels = plt.subplots(-(-len(joints) // 3), 3, figsize=(8.2, 1.8 * -(-len(joints) // 3)), sharex=True)
    for index, (panel, joint) in enumerate(zip(panels.flat, joints, strict=False)):
        for name, rows in lines.items():
            panel.plot(np.arange(len(rows)) / fps, rows[:, index], label=name, **LINES[name])
        panel.set_title(joint.replace("_", " "), fontsize=8, loc="left")
        panel.tick_params(labelsize=7)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=3, loc="upper right")
    for panel in panels.flat[len(joints) :]:
        panel.axis("off")
    for panel in panels[:, 0]:
        panel.set_ylabel("motor units", fontsize=7)
    for panel in panels[-1]:
        panel.set_xlabel("s", fontsize=7)
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    _save(figure, path)


def coverage(found: dict[str, Any], joints: Sequence[str], path: Path) -> None:
    """Real beside synthetic: range of each joint, length, and where the object stands at the start."""
    places = found.get("places") or {}
    figure, panels = plt.subplots(
        1, 3 if places else 2, figsize=(8.2, 2.9), width_ratios=[2.2, 1, 1.2] if places else [2.2, 1]
    )
    for row, (side, color, thick) in enumerate((("real", REAL, 7), ("synthetic", LABEL, 3))):
        for joint, (least, low, high, most) in enumerate(found["joints"][side]):
            level = -joint + (0.16 if row == 0 else -0.16)
            panels[0].plot([least, most], [level, level], color=color, linewidth=1)
            panels[0].plot(
                [low, high], [level, level], color=color, linewidth=thick, solid_capstyle="butt",
                label=side if joint == 0 else None,
            )  # fmt: skip
    panels[0].set_yticks([-joint for joint in range(len(joints))], [name.replace("_", " ") for name in joints])
    panels[0].set_xlabel("degrees; thick: from the 5th to the 95th percentile", fontsize=7)
    panels[0].set_title("action", fontsize=9, loc="left")
    panels[0].legend(frameon=False, fontsize=7, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    lengths = found["seconds"]
    edges = np.linspace(0, 1.05 * max(max(lengths["real"]), max(lengths["synthetic"])), 13)
    for side, color, style in (("real", REAL, "-"), ("synthetic", LABEL, "--")):
        counts = np.histogram(lengths[side], edges)[0]
        panels[1].stairs(counts / counts.sum(), edges, color=color, linestyle=style, linewidth=1.6, label=side)
    panels[1].set_title("length", fontsize=9, loc="left")
    panels[1].set_xlabel("s", fontsize=7)
    panels[1].set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    if places:
        for side, text, marker, color in (
            ("left_out", "left out", "x", REAL),
            ("in_dataset", "in dataset", "o", LABEL),
        ):
            if places[side]:
                panels[2].scatter(*zip(*places[side], strict=True), marker=marker, color=color, s=16, label=text)
        panels[2].set_title(f"{places['object']} at the start", fontsize=9, loc="left")
        panels[2].set_xlabel("x, y in m", fontsize=7)
        panels[2].set_aspect("equal", adjustable="datalim")
        panels[2].legend(frameon=False, fontsize=7, ncols=2, loc="lower right", bbox_to_anchor=(1.05, 1.08))
    for panel in panels:
        panel.tick_params(labelsize=7)
    _save(figure, path)


def learning(curves: Mapping[str, Sequence[tuple[float, float]]], path: Path) -> None:
    """One panel per curve: value over steps, on a logarithmic axis where the values span more than SPAN."""
    rows = -(-len(curves) // 2)
    figure, panels = plt.subplots(rows, 2, figsize=(8.2, 2.2 * rows), squeeze=False)
    for panel, (name, points) in zip(panels.flat, curves.items(), strict=False):
        panel.plot(*zip(*points, strict=True), color=LABEL, linewidth=1.4, marker="." if len(points) < 40 else None)
        values = [value for _, value in points]
        if 0 < min(values) < max(values) / SPAN:
            panel.set_yscale("log")
        panel.set_title(name, fontsize=9, loc="left")
        panel.set_xlabel("step", fontsize=7)
        panel.tick_params(labelsize=7, which="both")
    for panel in panels.flat[len(curves) :]:
        panel.axis("off")
    _save(figure, path)


def gate_scores(table: dict[str, Any], path: Path) -> None:
    """Every score of the gate: a mark per video, real ones above, and the limits; each panel has its own scale."""
    sides = {"source": ("real", REAL), "passed": ("passed", LABEL), "refused": ("refused", "#b73a2c")}
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
