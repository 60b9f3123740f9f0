"""mkdocs' hook: the pages of docs/, the README as the first one, and with them every file that a page links to.

So there is no link out of the site that could die: CONTRIBUTING.md becomes a page, a configuration a file beside it.
Markers of code blocks (```sh cluster) are for `blocks.py`; Markdown does not know them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?P<head>\]\(|^\[[^\]\n]+\]: +)(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?", re.MULTILINE)
MARKER = re.compile(r"^(```[a-z]+) .*$", re.MULTILINE)


def place(path: str) -> str:
    """Where a file of the repository lies in the site's sources; a README is its folder's first page."""
    inside = path.removeprefix("docs/")
    return "index.md" if path == "README.md" else inside


def targets(path: str) -> set[str]:
    """Files of the repository that a page links to."""
    found = set()
    for match in LINK.finditer((ROOT / path).read_text()):
        if "://" not in match["target"]:
            found.add(posixpath.normpath(posixpath.join(posixpath.dirname(path), match["target"])))
    return {name for name in found if (ROOT / name).is_file()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/: the README, and whatever pages lead to."""
    waiting = ["README.md", *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if files.get_file_from_path(place(path)) is None:
            files.append(File.generated(config, place(path), content=(ROOT / path).read_bytes()))
        if path.endswith(".md"):
            waiting += targets(path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site needs them; markers of code blocks go."""
    source = page.file.src_uri
    origin = "README.md" if source == "index.md" else source if (ROOT / source).is_file() else f"docs/{source}"

    def link(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        there = posixpath.relpath(place(path), posixpath.dirname(source) or ".")
        return f"{match['head']}{there}{match['anchor'] or ''}"

    return LINK.sub(link, MARKER.sub(r"\1", markdown))
