"""Runs the command blocks of the documentation, as `make docs-check` does: they must do what they promise.

A block is a fence that begins with ```sh. Those of one page run in their order, in a copy of one prepared folder: a
small recording `demos.hdf5`, its configuration `lift.yaml`, its dataset `dataset` and the finished run `runs/lift`.
Markers in the fence's first line say what a block needs that is not there: `cluster` (a Kubernetes cluster), `gpu` (a
GPU, an upstream's weights or its simulator), `network` (downloads), `browser` (a server that a person ends), `long`
(minutes; `--long` runs it, in a clone of the repository).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```sh(?P<markers>[^\n]*)\n(?P<text>.*?)^ *```", re.MULTILINE | re.DOTALL)
MARKERS = {"cluster", "gpu", "network", "browser", "long"}
SMALL = """
generate: {backend: mujoco, frames: 30, width: 64, height: 48, settings: {defect_share: 0.0}}
plan: {samples: 4}
gate: {checks: []}
idm: {settings: {steps: 30, head_steps: 20, checkpoint_every: 15, threads: 1}}
curate: {require_success: false, accept_unproven: true, tracking_error_deg_max: 1000, limit_violation_share_max: 1.0}
"""
"""What makes the prepared run small; the rest is what `leicos init` writes."""
PREPARE = """
leicos -q record demos.hdf5 --episodes 5 --seed 1 --width 64 --height 48 --failed-share 0
leicos -q to-lerobot demos.hdf5 --task "Lift the red cube up." --out dataset
leicos -q run lift.yaml --out runs/lift
"""


@dataclass(frozen=True)
class Block:
    """One fence. line: of its first command."""

    page: Path
    line: int
    text: str
    markers: frozenset[str]


def pages() -> list[Path]:
    """Pages of the site that may hold commands, relative to the root."""
    command = [
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "README.md",
        "docs/*.md",
        "docs/backends",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [
        Path(name) for name in listed if "/decisions/" not in name and "/tools/" not in name and name.endswith(".md")
    ]


def blocks(page: Path) -> Iterator[Block]:
    """The command blocks of a page. Raises ValueError for a marker that does not exist."""
    text = (ROOT / page).read_text()
    for match in FENCE.finditer(text):
        markers = frozenset(match["markers"].split())
        line = text.count("\n", 0, match.start()) + 2
        if unknown := markers - MARKERS:
            raise ValueError(f"{page}:{line}: no marker is called {', '.join(sorted(unknown))}")
        body = re.sub(rf"^{match[1]}", "", match["text"], flags=re.MULTILINE)
        yield Block(page, line, body, markers)


def environment(scratch: Path) -> dict[str, str]:
    """This environment's programs, few threads, scratch files inside the folder."""
    found = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "LEICOS_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return found | {
        "PATH": path,
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(scratch),
        "MUJOCO_GL": "egl",
        "HOME": str(scratch),
    }


def execute(text: str, folder: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run commands as a shell that ends at the first that fails."""
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder, env=environment(scratch), capture_output=True, text=True, check=False,
    )  # fmt: skip


def place_of(prepared: Path) -> Path:
    """Where it is made and where each page's copy lies: a run knows its recording by the whole path."""
    return prepared.with_name("page")


def prepare(prepared: Path, scratch: Path) -> None:
    """The recording, its configuration and dataset, and a finished run."""
    folder = place_of(prepared)
    folder.mkdir(parents=True)
    head = 'name: lift\nsource: {files: [demos.hdf5], task: "Lift the red cube up."}\n'
    (folder / "lift.yaml").write_text(head + SMALL)
    shutil.copytree(ROOT / "examples", folder / "examples")
    done = execute(PREPARE, folder, scratch)
    if done.returncode:
        raise SystemExit(f"the folder for the blocks could not be prepared:\n{done.stdout}{done.stderr}")
    folder.rename(prepared)


def check(page: Path, prepared: Path, scratch: Path, long: bool) -> list[str]:
    """Run a page's blocks; what failed, as texts."""
    here = [block for block in blocks(page) if not block.markers - ({"long"} if long else set())]
    if not here:
        return []
    folder = place_of(prepared)
    shutil.copytree(prepared, folder, symlinks=True)
    failed = []
    try:
        for block in here:
            place = folder
            if "long" in block.markers:
                place = scratch / "clone"
                if not place.exists():
                    subprocess.run(["git", "clone", "-q", str(ROOT), str(place)], check=True)
            begun = time.monotonic()
            done = execute(block.text, place, scratch)
            word = "ok" if done.returncode == 0 else f"exit {done.returncode}"
            print(f"{word:8} {time.monotonic() - begun:6.1f} s  {page}:{block.line}", flush=True)
            if done.returncode:
                failed.append(f"{page}:{block.line}\n{block.text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    finally:
        shutil.rmtree(folder)
    return failed


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, help="pages; without them all")
    parser.add_argument("--prepared", type=Path, help="the prepared folder; made if it is not there, and kept")
    parser.add_argument("--long", action="store_true", help="also the blocks that take minutes")
    options = parser.parse_args(arguments)
    failed = []
    with tempfile.TemporaryDirectory(prefix="leicos-docs-") as name:
        scratch = Path(name)
        prepared = options.prepared or scratch / "prepared"
        if not prepared.exists():
            prepare(prepared, scratch)
        for page in options.pages or pages():
            failed += check(page, prepared, scratch, options.long)
    print("\n\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
