"""Files that need not be written twice, and copies of those that must be."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from leicos_jobs.core.errors import InputError


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A second name for a file's bytes; a copy where the file system cannot link (another one, or without links)."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def link_tree(source: Path, target: Path) -> None:
    """A folder with the same files, by `link_or_copy`. Raises FileExistsError if `target` exists."""
    shutil.copytree(source, target, copy_function=link_or_copy)


def copy_to(source: Path, target: Path) -> None:
    """Copy a file's bytes to a path whose folder may be missing. Raises InputError if there is no such file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise InputError(f"{source}: no such file", fix="restore it, or write the dataset again") from None
