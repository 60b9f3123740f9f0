"""The map in CONTRIBUTING.md has a line for every folder, and none for what does not exist."""

from __future__ import annotations

import re

from helpers import pages

CONTRIBUTING = (pages.ROOT / "CONTRIBUTING.md").read_text()
PACKAGES = ("leicos_jobs", "hera_workflows")
DEPTH = 3
"""leicos_jobs/backends/compact has a line; what is below it does not need one."""


def section(title: str) -> str:
    return CONTRIBUTING.split(f"\n## {title}\n")[1].split("\n## ")[0]


def mapped() -> list[str]:
    return re.findall(r"^\| `([^`]+)/` \| \S.* \|$", section("Map"), re.MULTILINE)


def test_every_folder_and_package_is_in_the_map_and_nothing_else() -> None:
    files = pages.files()
    top = {path.parts[0] for path in files if len(path.parts) > 1}
    packages = {
        path.parent.as_posix()
        for path in files
        if path.name == "__init__.py" and path.parts[0] in PACKAGES and len(path.parent.parts) <= DEPTH
    }
    assert sorted(mapped()) == sorted(top | packages)


def test_the_glossary_has_one_line_per_word_in_one_place() -> None:
    words = [
        word.strip()
        for cell in re.findall(r"^\| ([^|]+) \| \S.* \|$", section("Glossary"), re.MULTILINE)
        for word in cell.split(",")
    ]
    assert {"sample", "quarantined", "refused", "row0", "IDM", "key"} <= set(words)
    assert len(words) == len(set(words))
