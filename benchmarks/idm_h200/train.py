"""20 real steps of upstream's idm_training.py through our trainer: killed, resumed, published, and its labels compared
with those of upstream's dump script, run with one worker (its order is then right) and our start noise."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

STEPS, SAVE, FRAMES, VIDEOS = 20, 10, 60, 5


class KilledError(Exception):
    """Raised from the progress report; the trainer then ends upstream's processes."""


def run(checkout: Path, scratch: Path, material: Any) -> dict[str, Any]:
    """Everything above; facts by name."""
    from leicos_jobs.backends.gr00t_dreams.backend import Gr00tDreamsTrainer
    from leicos_jobs.backends.gr00t_dreams.settings import CHECKOUT_VARIABLE, TrainerSettings
    from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
    from leicos_jobs.backends.requests import TrainRequest

    os.environ[CHECKOUT_VARIABLE] = str(checkout)
    paths = material.videos(scratch / "videos", VIDEOS, VIDEOS, VIDEOS, FRAMES)
    data = material.dataset(scratch / "data", paths, moving=True)
    settings = TrainerSettings(steps=STEPS, save_steps=SAVE, keep_checkpoints=1)
    found: dict[str, Any] = {}
    for attempt, stop in (("killed", SAVE + 3), ("resumed", None)):
        seen: list[int] = []

        def report(done: int, _total: int, seen: list[int] = seen, stop: int | None = stop) -> None:
            seen.append(done)
            if stop is not None and done >= stop:
                raise KilledError

        request = TrainRequest(
            dataset=data, robot=SO101, camera="front", train=list(range(VIDEOS - 1)), seed=0,
            out=scratch / "artifact", resume=scratch / "resume", report=report,
        )  # fmt: skip
        work = scratch / attempt
        work.mkdir()
        begun, facts = time.perf_counter(), {}
        try:
            facts = Gr00tDreamsTrainer(settings, work).train(request).facts()
        except KilledError:
            facts = {"killed_at": seen[-1]}
        kept = sorted(path.name for path in (scratch / "resume").glob("checkpoint-*"))
        wanted = ("killed_at", "resumed_from", "losses", "digest", "seconds")
        found[attempt] = {key: facts[key] for key in wanted if key in facts} | {
            "steps_seen": [seen[0], seen[-1]], "kept": kept, "wall_s": round(time.perf_counter() - begun, 1)
        }  # fmt: skip
    return found | {"labels": compare(checkout, scratch, data, paths[-2:], material)}


def compare(checkout: Path, scratch: Path, data: Path, paths: list[Path], material: Any) -> dict[str, float]:
    """Our labels of the trained checkpoint, fp32 and bf16, against the dump script's, in motor units."""
    import upstream

    from leicos_jobs.backends.gr00t_dreams.labeller import Labeller
    from leicos_jobs.backends.gr00t_dreams.settings import LabellerSettings
    from leicos_jobs.backends.requests import LabelRequest

    subset = material.dataset(scratch / "dump", paths)
    # the dump script normalises with the dataset's stats.json, which must be the training's
    (subset / "meta" / "stats.json").write_bytes((scratch / "artifact" / "stats.json").read_bytes())
    seeds = [11, 12]
    upstream.dump(checkout, scratch / "dump" / "work", scratch / "artifact", subset, workers=1, noise=seeds)
    theirs = []
    for number in range(len(paths)):
        name = f"data/chunk-000/episode_{number:06d}.parquet"
        rows = pq.read_table(scratch / "dump" / "work" / "so101.data_idm" / name, columns=["action"])
        theirs.append(np.array(rows["action"].to_pylist()))
    spread = float(np.concatenate(theirs).std(axis=0).mean())
    found = {"rows": float(sum(map(len, theirs))), "spread_of_theirs": round(spread, 3)}
    for precision in ("fp32", "bf16"):
        made = Labeller(LabellerSettings(precision=precision, decoders=2), scratch / "artifact")
        requests = [LabelRequest(str(k), path, seeds[k]) for k, path in enumerate(paths)]
        ours = {item.sample: item.actions for item in made.process(requests, lambda _sample: None)}
        made.close()
        away = [np.abs(ours[str(k)] - rows) for k, rows in enumerate(theirs)]
        found[f"{precision}_max"] = float(max(part.max() for part in away))
        found[f"{precision}_mean"] = float(np.concatenate(away).mean())
    return found
