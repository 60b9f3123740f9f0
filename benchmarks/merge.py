"""10 datasets of 20 episodes merged: leicos, lerobot's aggregate_datasets, and a plain copy of the files.

Episodes of 300 frames, 320x240, H.264 with grain (1 MB). Each is measured in turn, several times; the least of each
counts. A busy machine disturbs seconds, less so CPU seconds: both are printed. The results are checked. Bars, in CPU
seconds: at least 10 times lerobot, at most 4 times a copy.

Example: PYTHONPATH=. python benchmarks/merge.py --peer .venv-lerobot-0.4.4/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.merge_peer import cpu
from leicos_jobs.backends.mujoco.robot import ROBOT
from leicos_jobs.convert.merge import merge
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_v21 import DatasetWriter
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.formats.lerobot_v30_check import DatasetV30, check_v30
from leicos_jobs.media.encode import write_video

DATASETS, EPISODES, FRAMES, FPS, SIZE = 10, 20, 300, 30, (320, 240)


def pictures() -> Iterator[np.ndarray]:
    """A soft texture that wanders, with grain as a camera has it."""
    random = np.random.default_rng(0)
    width, height = SIZE
    small = random.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    texture = np.kron(small, np.ones((16, 16, 1), dtype=np.uint8))
    for frame in range(FRAMES):
        grain = random.integers(0, 6, texture.shape, dtype=np.uint8)
        yield np.roll(texture // 2 + 60, (frame // 2, frame), axis=(0, 1)) + grain


def make(folder: Path) -> tuple[list[Path], list[Path]]:
    """The datasets, v2.1 and v3.0. All have the same content, in files of their own."""
    video = folder / "episode.mp4"
    write_video(video, pictures(), FPS)
    random = np.random.default_rng(1)
    writer = DatasetWriter(folder / "v21-0", ROBOT, ("front",), FPS)
    stats: dict[str, Any] = {}
    for number in range(EPISODES):
        actions, states = random.normal(0, 30, (2, FRAMES, ROBOT.action.width)).astype(np.float32)
        writer.add_episode(actions, states, f"Task {number % 3}.", {"front": video}, image_stats=stats)
        if not stats:  # one picture statistic is as good as another
            line = json.loads((folder / "v21-0/meta/episodes_stats.jsonl").open().readline() or "{}")
            stats = {"front": line["stats"]["observation.images.front"]} if line else {}
    writer.finish()
    export_v30(folder / "v21-0", folder / "v30-0", decode=False)
    for version in ("v21", "v30"):
        for number in range(1, DATASETS):
            shutil.copytree(folder / f"{version}-0", folder / f"{version}-{number}")
    found = [[folder / f"{version}-{number}" for number in range(DATASETS)] for version in ("v21", "v30")]
    return found[0], found[1]


def timed(work: Callable[[], Any], out: Path) -> dict[str, float]:
    begun, used = time.perf_counter(), cpu()
    work()
    figures = {"seconds": time.perf_counter() - begun, "cpu_seconds": cpu() - used}
    shutil.rmtree(out)
    return figures


def copied(sources: list[Path], out: Path) -> dict[str, float]:
    return timed(lambda: [shutil.copytree(source, out / source.name) for source in sources], out)


def merged(sources: list[Path], out: Path) -> dict[str, float]:
    def work() -> None:
        merge([str(source) for source in sources], str(out))

    return timed(work, out)


def peer(python: str, sources: list[Path], out: Path) -> dict[str, float]:
    script = Path(__file__).with_name("merge_peer.py")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [python, str(script), str(out), *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    shutil.rmtree(out)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def verify(sources: list[Path], out: Path) -> None:
    merge([str(source) for source in sources], str(out))
    found = check_v30(DatasetV30(out), decode=False) if "v30" in sources[0].name else check(out, decode=False)
    assert found == [], found
    shutil.rmtree(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="Python of an environment with lerobot 0.4.4")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leicos-merge-") as name:
        folder = Path(name)
        v21, v30 = make(folder)
        out = folder / "out"
        size = sum(path.stat().st_size for source in v30 for path in source.rglob("*") if path.is_file())
        print(json.dumps({"datasets": DATASETS, "episodes": DATASETS * EPISODES, "v30_mb": round(size / 1e6, 1)}))
        for sources in (v21, v30):
            verify(sources, out)
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "copy v2.1": lambda: copied(v21, out),
            "copy v3.0": lambda: copied(v30, out),
            "leicos v2.1": lambda: merged(v21, out),
            "leicos v3.0": lambda: merged(v30, out),
            "leicos v3.0, half of the datasets": lambda: merged(v30[: DATASETS // 2], out),
        }
        if arguments.peer:
            ways["lerobot v3.0"] = lambda: peer(arguments.peer, v30, out)
        least: dict[str, dict[str, float]] = {}
        for _ in range(arguments.repeats):
            for way, work in ways.items():
                figures = work()
                known = least.setdefault(way, figures)
                least[way] = {key: min(known[key], figures[key]) for key in ("seconds", "cpu_seconds")}
        for way, figures in least.items():
            print(f"{way:36} {figures['seconds']:8.2f} s {figures['cpu_seconds']:8.2f} CPU s")
        for version in ("v2.1", "v3.0"):
            ratio = least[f"leicos {version}"]["cpu_seconds"] / least[f"copy {version}"]["cpu_seconds"]
            print(f"{version}: {ratio:.1f} times a copy in CPU seconds (bar: at most 4)")
        if arguments.peer:
            gain = least["lerobot v3.0"]["cpu_seconds"] / least["leicos v3.0"]["cpu_seconds"]
            print(f"v3.0: {gain:.1f} times lerobot in CPU seconds (bar: at least 10)")


if __name__ == "__main__":
    main()
