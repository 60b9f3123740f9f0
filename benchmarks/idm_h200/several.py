"""Several GPUs of one host: a process a GPU, each with its share of the cores, H.264 files to labels.

    python benchmarks/idm_h200/several.py --out DIR [--gpus 2] [--repeats 3]

Every process labels 48 videos of its own a pass. First one process runs alone, then all begin each pass together; a
pass of several lasts until the last is done. Prints and writes several.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]


def work(options: argparse.Namespace) -> None:
    """One process: loads, then for each line `pass` on standard input labels all videos and answers with a line."""
    import torch

    from leicos_jobs.backends.gr00t_dreams.engine import default_plan
    from leicos_jobs.backends.gr00t_dreams.labeller import Labeller
    from leicos_jobs.backends.gr00t_dreams.settings import LabellerSettings
    from leicos_jobs.backends.requests import LabelRequest

    plan = default_plan(torch.device("cuda"), torch.bfloat16)
    made = Labeller(LabellerSettings(device="cuda"), options.scratch / "artifact", plan)
    paths = sorted((options.scratch / "videos").glob("*.mp4"))
    requests = [LabelRequest(str(k), path, k) for k, path in enumerate(paths)]
    print(json.dumps({"device": torch.cuda.get_device_name(), "cores": len(os.sched_getaffinity(0))}), flush=True)
    for _ in sys.stdin:
        labels = [item.actions for item in made.process(requests, lambda _sample: None)]
        told = {"windows": sum(map(len, labels)), "sum": float(sum(float(rows.sum()) for rows in labels))}
        print(json.dumps(told), flush=True)
    made.close()


class Worker:
    """A process with GPU `number` and its share of this host's cores."""

    def __init__(self, number: int, options: argparse.Namespace) -> None:
        cores = sorted(os.sched_getaffinity(0))
        share = len(cores) // options.gpus
        mine = cores[number * share : (number + 1) * share]
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--work", "--scratch", str(options.scratch), "--out", "."],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": str(number)},
            preexec_fn=lambda: os.sched_setaffinity(0, mine),
        )  # fmt: skip

    def begin(self) -> None:
        """Start a pass."""
        assert self.process.stdin is not None
        self.process.stdin.write("pass\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return dict(json.loads(line))
        raise SystemExit(f"a worker ended with {self.process.wait()}")

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def passes(workers: list[Worker], repeats: int) -> dict[str, Any]:
    """Windows per second of these workers together: median of `repeats` passes after one."""
    found, sums = [], set()
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        for worker in workers:
            worker.begin()
        told = [worker.answer() for worker in workers]
        found.append((time.perf_counter() - begun, sum(item["windows"] for item in told)))
        sums |= {item["sum"] for item in told}
    seconds = [spent for spent, _ in found[1:]]
    rate = statistics.median(windows / spent for spent, windows in found[1:])
    return {
        "windows_per_s": round(rate, 1), "windows": found[0][1], "seconds": [round(spent, 3) for spent in seconds],
        "same_labels": len(sums) == 1,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/idm-several"))
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    import material

    options.out.mkdir(parents=True, exist_ok=True)
    options.scratch.mkdir(parents=True, exist_ok=True)
    material.videos(options.scratch / "videos", options.videos, min(options.videos, 16), os.cpu_count() or 4)
    material.checkpoint(options.scratch, "cuda")
    workers = [Worker(number, options) for number in range(options.gpus)]
    report: dict[str, Any] = {"workers": [worker.answer() for worker in workers]}
    report["one"] = passes(workers[:1], options.repeats)
    report["all"] = passes(workers, options.repeats)
    report["one_again"] = passes(workers[:1], options.repeats)
    one = max(report[name]["windows_per_s"] for name in ("one", "one_again"))
    report["times_one"] = round(report["all"]["windows_per_s"] / one, 3)
    for worker in workers:
        worker.end()
    print(json.dumps(report, indent=1))
    (options.out / "several.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
