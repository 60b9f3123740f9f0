"""Trains nothing, but leaves checkpoints as upstream does: folders of shards, then latest_checkpoint.txt."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

arguments = sys.argv[sys.argv.index("--") + 1 :]
values = dict(item.split("=", 1) for item in arguments if "=" in item)
root = Path(os.environ["IMAGINAIRE_OUTPUT_ROOT"])
name = values["experiment"].removeprefix("predict2_video2world_training_")
job = root / "cosmos_predict_v2p5" / "video2world" / name
checkpoints = job / "checkpoints"
checkpoints.mkdir(parents=True, exist_ok=True)
(root / "arguments.json").write_text(json.dumps({"torchrun": os.environ["FAKE_TORCHRUN"], "arguments": arguments}))
missing = os.environ.get("FAKE_MISSING_KEYS", "")
(job / "debug.log").write_text(
    "load model in non-strict mode\n"
    f"_IncompatibleKeys(missing_keys={[missing] if missing else []!r}, unexpected_keys=[], incorrect_shapes=[])\n"
    "load ema model in non-strict mode\n"
    "_IncompatibleKeys(missing_keys=['blocks.0.a', 'blocks.1.a'], unexpected_keys=[], incorrect_shapes=[])\n"
)
latest = checkpoints / "latest_checkpoint.txt"
begun = iteration = int(latest.read_text().strip().removeprefix("iter_")) if latest.exists() else 0
print(f"resuming from {iteration}", flush=True)
steps, every = int(values["trainer.max_iter"]), int(values["checkpoint.save_iter"])
die_at = int(os.environ.get("FAKE_TRAIN_DIES_AT", "-1"))
while iteration < steps:
    iteration += 1
    time.sleep(float(os.environ.get("FAKE_STEP_SECONDS", "0.002")))
    if iteration % 10 == 0:
        print(
            f"[INFO|cosmos_predict2/_src/...] {iteration} : iter_speed 0.10 seconds per iteration | Loss: 0.5",
            flush=True,
        )
    if iteration % every == 0 or iteration == steps:
        folder = checkpoints / f"iter_{iteration:09}"
        for part in ("model", "optim", "scheduler", "trainer"):
            (folder / part).mkdir(parents=True)
            (folder / part / "__0_0.distcp").write_text(f"{part} {iteration} from {begun}")
        latest.write_text(f"{folder.name}\n")
    if iteration == die_at:
        sys.exit("CUDA out of memory" if os.environ.get("FAKE_TRAIN_OOM") else 1)
