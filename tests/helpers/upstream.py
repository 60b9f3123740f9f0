"""Functions of the real LeIsaac and Isaac Lab, compiled out of their files, unchanged.

Neither can be imported without Isaac Sim. Checkouts: LeIsaac 24d3bcd in $LEICOS_LEISAAC, Isaac Lab 2.3.0 in
$LEICOS_ISAACLAB (docs/verify.md, replay/isaac-sim).
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LEISAAC, ISAACLAB = os.environ.get("LEICOS_LEISAAC", ""), os.environ.get("LEICOS_ISAACLAB", "")

if not (LEISAAC and ISAACLAB):
    warnings.warn(
        "NOT RUN: the tests against the real LeIsaac and Isaac Lab (set LEICOS_LEISAAC and LEICOS_ISAACLAB)",
        stacklevel=1,
    )
needs_upstream = pytest.mark.skipif(
    not (LEISAAC and ISAACLAB), reason="needs $LEICOS_LEISAAC and $LEICOS_ISAACLAB: see docs/verify.md"
)


def read(root: str, end: str) -> str:
    """The one file below `root` whose path ends so."""
    (path,) = [path for path in Path(root).rglob(Path(end).name) if path.as_posix().endswith(f"/{end}")]
    return path.read_text()


def compiled(root: str, end: str, name: str, torch: Any) -> Callable[..., Any]:
    """One function or method of a file, without its annotations and decorators."""
    for node in ast.walk(ast.parse(read(root, end))):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            node.decorator_list, node.returns = [], None
            for argument in ast.walk(node.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            node.args.defaults = [
                item if isinstance(item, ast.Constant) else ast.Constant(None) for item in node.args.defaults
            ]
            space: dict[str, Any] = {"torch": torch}
            exec(compile(ast.fix_missing_locations(ast.Module([node], [])), end, "exec"), space)
            function: Callable[..., Any] = space[name]
            return function
    raise AssertionError(f"{end} has no {name}")
