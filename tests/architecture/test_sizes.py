"""No module has outgrown its room, and no package imports in a circle, lazily either."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from helpers.pages import ROOT

LINES_MAX = 350
MODULES = [path for package in ("leicos_jobs", "hera_workflows") for path in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


def name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, known: set[str]) -> set[str]:
    """Modules of ours that a module imports anywhere in its code, but for types alone."""
    tree, found = ast.parse(path.read_text()), set()
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & known


def test_no_module_imports_in_a_circle() -> None:
    known = {name(path) for path in MODULES}
    packages = {name(path) for path in MODULES if path.name == "__init__.py"}
    graph = {name(path): imports(path, known) - packages for path in MODULES}
    done: set[str] = set()

    def follow(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                follow(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        follow(module, ())
