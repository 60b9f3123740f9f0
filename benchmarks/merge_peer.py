"""The peer of the merge benchmark: lerobot's aggregate_datasets; runs in an environment of lerobot 0.4.

Prints one JSON line: version, seconds, cpu_seconds, episodes, frames. Imports are not counted.
Example: .venv-lerobot-0.4.4/bin/python benchmarks/merge_peer.py /tmp/out /tmp/a /tmp/b
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    from lerobot.datasets.aggregate import aggregate_datasets

    out, *roots = map(Path, sys.argv[1:])
    begun, used = time.perf_counter(), cpu()
    aggregate_datasets([f"bench/{number}" for number in range(len(roots))], "bench/all", roots, out)
    seconds, used = time.perf_counter() - begun, cpu() - used
    info = json.loads((out / "meta/info.json").read_text())
    facts = {"version": importlib.metadata.version("lerobot"), "seconds": seconds, "cpu_seconds": used}
    print(json.dumps(facts | {"episodes": info["total_episodes"], "frames": info["total_frames"]}))


if __name__ == "__main__":
    main()
