"""Do labels do what true actions do? Whole runs with fresh demonstrations for each seed; every labelled sample counts.

    python benchmarks/labels.py --work /tmp/labels --seeds 0 1

Prints, over all seeds together and again for samples from demos that the IDM never saw: replay success of labels, of
true actions (ceiling), of another demo's labels and of shuffled rows (floors), how often labels and true actions have
the same outcome; and the arm joints' mean error. A run that exists under --work is taken as it is; remove the folder to
measure again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

LEICOS = [sys.executable, "-m", "leicos_jobs.cli.main"]
CONFIG = Path(__file__).parents[1] / "examples" / "lift_cube.yaml"


def run(work: Path, seed: int, episodes: int) -> dict[str, Any]:
    """The score of one seed's run."""
    folder = work / f"seed-{seed}"
    score = folder / "run" / "report" / "latest" / "score.json"
    if not score.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        demos = folder / "demos.hdf5"
        if not demos.is_file():
            subprocess.run(
                [*LEICOS, "record", str(demos), "--episodes", str(episodes), "--seed", str(seed)], check=True
            )
        config = yaml.safe_load(CONFIG.read_text())
        config["idm"]["seed"] = seed
        config["plan"]["first_seed"] = 21 + 1000 * seed
        config["source"]["files"] = [str(demos)]
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        command = [*LEICOS, "run", str(folder / "config.yaml"), "--out", str(folder / "run")]
        subprocess.run(command, check=True)
    return json.loads(score.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--episodes", type=int, default=85)
    options = parser.parse_args()
    totals: dict[str, list[int]] = {}
    errors = []
    for seed in options.seeds:
        score = run(options.work, seed, options.episodes)
        for side, title in (("all", ""), ("held_out", "unseen: ")):
            for name, item in score["replay"][side].items():
                if isinstance(item, dict):
                    total = totals.setdefault(title + name, [0, 0])
                    total[0] += item["successes"]
                    total[1] += item["count"]
        errors.append(sum(score["idm"]["generated"]["mae_deg"][:5]) / 5)
    for name, (hits, count) in totals.items():
        print(f"{name:34} {hits:4} of {count:4}  {hits / max(1, count):6.1%}")
    print(f"successes of the ceiling's   {totals['labels'][0] / max(1, totals['truth'][0]):6.1%}")
    print(f"arm joints' mean error       {sum(errors) / len(errors):.2f} degrees on generated videos")


if __name__ == "__main__":
    main()
