"""Files that need not be written twice."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A second name for a file's bytes; a copy where the file system cannot link (another one, or without links)."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """A folder with the same files, by `link_or_copy`. Raises FileExistsError if `target` exists."""
    shutil.copytree(source, target, copy_function=link_or_copy)
