"""Relative links of every page lead to a file, and their anchors to a heading."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import pytest
from helpers import pages

PAGES = [path for path in pages.files() if path.suffix == ".md"]
OURS = [path for path in PAGES if path.parent in (Path(), Path("docs"))]
"""Pages that name files of this repository; those in docs/decisions name upstreams' files."""
CODE = re.compile(r"`([\w.-]+/[\w./-]+\.(?:py|toml|lock|ya?ml|md|json|txt))`")
PLACEHOLDERS = {"leicos_jobs/stages/NAME.py"}
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")


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


@pytest.mark.parametrize("page", OURS, ids=str)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    """By its path from the root, or the end of it."""
    ends = tuple(f"/{path.as_posix()}" for path in pages.files())
    named = set(CODE.findall((pages.ROOT / page).read_text())) - PLACEHOLDERS
    assert [name for name in sorted(named) if not any(end.endswith(f"/{name}") for end in ends)] == []


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (pages.ROOT / "Makefile").read_text(), re.MULTILINE))
    naming = [*OURS, Path(".ci/run"), Path(".github/workflows/ci.yml")]
    named = {target for path in naming for target in TARGET.findall(code_of((pages.ROOT / path).read_text(), path))}
    assert {"check", "test", "test-cluster", "lock-check"} <= named
    assert named - targets == set()


def code_of(text: str, path: Path) -> str:
    """Code of a page, in which `make` is the program and not the verb; of other files all of it."""
    if path.suffix != ".md":
        return text
    text = re.sub(r"^```text\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(re.findall(r"^ {4}[^\n]*$|^```.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL))
