"""The report's table of samples: in the page itself while it is short, else in pages of their own beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from leicos_jobs.judge.score import Scored

ROWS = 1000
"""Rows of one page: with `TEXT` it stays below a megabyte."""
TEXT = 200
"""Characters of a reason that a row shows."""

Write = Callable[[dict[str, Any]], str]
"""Renders one page of the table."""


def write_pages(
    samples: Sequence[Scored], reasons: Mapping[str, str], folder: Path, write: Write
) -> list[dict[str, Any]]:
    """Write samples-1.html, samples-2.html, ...; returns each page's name, first and last row, counted from 1.

    No page is written for what fits into one: the report shows it itself. reasons: sample -> why curate left it out,
    empty for those that it took.
    """
    if len(samples) <= ROWS:
        return []
    pages: list[dict[str, Any]] = [
        {"name": f"samples-{number}.html", "first": first + 1, "last": min(first + ROWS, len(samples))}
        for number, first in enumerate(range(0, len(samples), ROWS), start=1)
    ]
    rows = table(samples, reasons)
    for index, page in enumerate(pages):
        before, after = pages[index - 1] if index else None, pages[index + 1] if index + 1 < len(pages) else None
        text = write({"page": page, "before": before, "after": after, "rows": list(islice(rows, ROWS))})
        (folder / page["name"]).write_text(text)
    return pages


def table(samples: Sequence[Scored], reasons: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The rows: lineage and outcome of each sample."""
    for item in samples:
        sample = item.state.sample
        generate, label, metrics = item.state.generate, item.state.label, item.state.metrics
        reason = item.quarantined.error if item.quarantined else reasons.get(sample.id, "")
        yield {
            "id": sample.id,
            "demo": sample.demo,
            "row0": sample.row0,
            "demo_sha": sample.demo_sha256[:12],
            "seed": sample.seed,
            "split": sample.split.replace("_", " "),
            "video": f"../../{generate.object}" if generate else "",
            "video_sha": (generate.sha256 or "")[:12] if generate else "",
            "label_sha": (label.sha256 or "")[:12] if label else "",
            "tracking": metrics.tracking_error_deg if metrics else None,
            "outcome": outcome(item),
            "tone": tone(item),
            "accepted": reasons.get(sample.id) == "",
            "reason": reason if len(reason) <= TEXT else f"{reason[:TEXT]}...",
        }


def outcome(item: Scored) -> str:
    """What became of a sample, in a few words."""
    if item.quarantined is not None:
        return f"quarantined in {item.quarantined.stage}"
    if item.state.generate is None:
        return "not generated"
    if item.state.refused is not None:
        return f"refused: {item.state.refused}"
    if item.success is None:
        if item.state.replay is not None:
            return "replayed, not judged"
        return "labelled" if item.state.label else "not labelled"
    return "task done in replay" if item.success else "task not done in replay"


def tone(item: Scored) -> str:
    """Colour of a sample's caption."""
    if item.success is None:
        return "bad" if item.state.refused is not None else "plain"
    return "good" if item.success else "bad"
