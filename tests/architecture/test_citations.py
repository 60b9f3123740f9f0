"""Comments and texts that cite a page of docs/, by number or by anchor, cite something that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import pages

CITING = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".tpl", ".txt", ".j2", ""}
NUMBERS = r"\d+(?:\.\d+)*(?:, \d+(?:\.\d+)*)*"
CITATION = re.compile(rf"(?<![\w/.-])(docs/[\w/.-]+\.md)(?:#([\w-]+)|,? +({NUMBERS})(?![\w%]))?")
WITHOUT_FOLDER = re.compile(rf"(?<![\w/])([\w-]+\.md),? +({NUMBERS})(?![\w%])")
OUTSIDE = re.compile(r"(?<![\w/])(reference/[\w-]+\.md|shared/reference)")


def citing() -> list[Path]:
    own = Path(__file__).resolve().relative_to(pages.ROOT)
    return [path for path in pages.files() if path.suffix in CITING and path != own]


def unresolved(text: str) -> list[str]:
    """Citations in a text that lead to no page, heading or number."""
    # a line of a comment or docstring may end within a citation
    text = re.sub(r"\n[ \t]*(?:#: ?|# ?)?", " ", text)
    wrong = []
    for page, anchor, cited in CITATION.findall(text):
        path = Path(page)
        if path not in pages.files():
            wrong.append(f"{page} does not exist")
        elif anchor and anchor not in pages.anchors(path):
            wrong.append(f"{page} has no heading #{anchor}")
        else:
            wrong += [f"{page} has no heading {n}" for n in cited.split(", ") if n and n not in pages.numbers(path)]
    wrong += [f"{page} {cited}: say in which folder" for page, cited in WITHOUT_FOLDER.findall(text)]
    return wrong + [f"{name} is not part of the repository" for name in OUTSIDE.findall(text)]


@pytest.mark.parametrize("path", citing(), ids=str)
def test_every_citation_resolves(path: Path) -> None:
    assert unresolved((pages.ROOT / path).read_text()) == []


def test_every_page_of_decisions_is_cited_and_listed() -> None:
    """A page that no code needs is not a decision."""
    decisions = [path for path in pages.files() if path.parent == Path("docs/decisions") and path.name != "README.md"]
    code = "".join((pages.ROOT / path).read_text() for path in citing() if path.suffix == ".py")
    assert decisions
    assert [path for path in decisions if str(path) not in code] == []
    index = pages.links(Path("docs/decisions/README.md"))
    assert [path.name for path in decisions if path.name not in index] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see docs/decisions/cosmos.md 1.3, 1.4).", []),
        ("see docs/decisions/cosmos.md. 99 samples", []),
        ("see docs/decisions/cosmos.md\n# 1.3", []),
        ("see docs/architecture.md#time", []),
        ("see docs/decisions/cosmos.md 1.99", ["docs/decisions/cosmos.md has no heading 1.99"]),
        ("see docs/decisions/cosmos.md\n    99", ["docs/decisions/cosmos.md has no heading 99"]),
        ("see docs/architecture.md#tide", ["docs/architecture.md has no heading #tide"]),
        ("see docs/decisions/venus.md", ["docs/decisions/venus.md does not exist"]),
        ("(leisaac.md 2.3)", ["leisaac.md 2.3: say in which folder"]),
        ("(reference/leisaac.md)", ["reference/leisaac.md is not part of the repository"]),
    ],
)
def test_a_citation_that_leads_to_nothing_is_found(text: str, wrong: list[str]) -> None:
    assert unresolved(text) == wrong
