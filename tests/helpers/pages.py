"""The repository's pages: which files it holds, the headings of a page, and where its links lead."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


@cache
def files() -> tuple[Path, ...]:
    """Files of the repository, relative to its root: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return tuple(Path(name) for name in sorted(listed) if name and (ROOT / name).is_file())


@cache
def headings(page: Path) -> tuple[str, ...]:
    """Headings of a Markdown page below the root, in order; code is no heading."""
    return tuple(re.findall(r"^#+ +(.*\S) *$", FENCE.sub("", (ROOT / page).read_text()), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def numbers(page: Path) -> set[str]:
    """Numbers of a page's numbered headings, as "3" and "3.1"."""
    return {match[1] for heading in headings(page) if (match := re.match(r"(\d+(?:\.\d+)*)\.? ", heading))}


def links(page: Path) -> list[str]:
    """Targets of a page's Markdown links, inline and by reference."""
    text = FENCE.sub("", (ROOT / page).read_text())
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: +(\S+)", text, re.MULTILINE)
