"""The training's checkpoints between upstream's output folder and the one that survives the pod.

Upstream writes a folder of shards and then names it in latest_checkpoint.txt; on the way to the store and back a
folder can arrive in part. So each one that is handed over is described by a manifest of its files and sizes, and only
a complete one is resumed from.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from leicos_jobs.core.files import link_or_copy

LATEST = "latest_checkpoint.txt"
_NAME = re.compile(r"iter_(\d{9})")


def iteration_of(name: str) -> int:
    """Steps done, from a checkpoint's name; -1 if it is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else -1


def latest(checkpoints: Path) -> Path | None:
    """The checkpoint that upstream calls its latest: complete, as it writes that file last."""
    try:
        name = (checkpoints / LATEST).read_text().strip()
    except OSError:
        return None
    folder = checkpoints / name
    return folder if iteration_of(name) >= 0 and folder.is_dir() else None


def hand_over(folder: Path, resume: Path) -> None:
    """Put a checkpoint into the folder that is kept, and drop the older ones there and beside it.

    Hard links: a checkpoint has some 30 GB, upstream never writes to a finished one, and both folders are on one disk.
    """
    target = resume / folder.name
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".pt"))
    for path in files:
        place = target / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            link_or_copy(path, place)
    manifest = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (resume / f"{folder.name}.json").write_text(json.dumps(manifest))
    for place in (resume, folder.parent):
        for old in list(place.iterdir()):
            if 0 <= iteration_of(old.name.removesuffix(".json")) < iteration_of(folder.name):
                shutil.rmtree(old) if old.is_dir() else old.unlink()


def restore(resume: Path, checkpoints: Path) -> int:
    """Give upstream the newest complete checkpoint that was kept; returns its steps, 0 if there is none."""
    found = sorted((path for path in resume.glob("iter_*.json")), reverse=True)
    for manifest in found:
        name = manifest.stem
        if iteration_of(name) < 0 or not _complete(resume / name, manifest):
            continue
        for path in (resume / name).rglob("*"):
            place = checkpoints / name / path.relative_to(resume / name)
            if path.is_dir():
                place.mkdir(parents=True, exist_ok=True)
            elif not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(path, place)
        (checkpoints / LATEST).write_text(f"{name}\n")
        return iteration_of(name)
    return 0


def _complete(folder: Path, manifest: Path) -> bool:
    try:
        sizes: dict[str, int] = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return False
    return bool(sizes) and all(
        (folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items()
    )
