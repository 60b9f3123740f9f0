"""Relative links of every page lead to a file, and their anchors to a heading."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from helpers import pages

PAGES = [path for path in pages.files() if path.suffix == ".md"]


def broken(page: Path) -> list[str]:
    wrong = []
    for link in pages.links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = link.partition("#")
        path = Path(posixpath.normpath(posixpath.join(page.parent.as_posix(), target))) if target else page
        if not (pages.ROOT / path).exists():
            wrong.append(f"{link} does not exist")
        elif anchor and anchor not in pages.anchors(path):
            wrong.append(f"{link} has no such heading")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_the_readme_leads_to_every_page_of_docs() -> None:
    """Directly, or by a page that it links to."""
    reached, open_ = set(), [Path("README.md")]
    while open_:
        page = open_.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in pages.links(page):
            target = link.partition("#")[0]
            path = Path(posixpath.normpath(posixpath.join(page.parent.as_posix(), target)))
            if target and "://" not in link and (pages.ROOT / path).is_file():
                open_.append(path)
    assert [path for path in PAGES if path.parts[0] == "docs" and path not in reached] == []
