"""python -m leicos_replay_driver HOME: makes the environment, then works batches until asked to stop.

It never closes the simulator: `SimulationApp.close()` hangs, crashes, and turns failures into exit code 0. Nothing is
lost by leaving at once, as every result is on the disk; and no one trusts the exit code.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .loop import TaskRefusedError, replay

IDLE_SECONDS = 0.05


def main() -> int:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--owner", type=int, default=0, help="process to end with")
    options = parser.parse_args()
    home: Path = options.home
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # as core.programs.die_with, which is not here
    heart = files.Heart(home, options.owner)
    heart.beat("starting", [])
    try:
        serve(home, json.loads((home / "config.json").read_text()), heart)
    except TaskRefusedError as error:
        print(error, file=sys.stderr, flush=True)
        files.write_whole(home / files.REFUSED, str(error))
        os._exit(1)
    except BaseException:  # noqa: BLE001 - whatever it was, the parent must read of it
        text = traceback.format_exc()
        print(text, file=sys.stderr, flush=True)
        files.write_whole(home / files.FAILURE, text)
        os._exit(1)
    os._exit(0)


def serve(home: Path, config: dict[str, Any], heart: files.Heart) -> None:
    """Work batch after batch."""
    module, _, name = config["env"].partition(":")
    env = getattr(importlib.import_module(module), name)(config)
    files.write_whole(home / files.READY, json.dumps(env.facts()))
    results = files.Results(home)
    limits = np.array(config["limits_rad"], dtype=np.float32)
    done: set[str] = set()
    while not (home / files.STOP).exists():
        waiting = sorted(path for path in (home / files.INBOX).glob("*.json") if path.name not in done)
        heart.beat("idle", [])
        if not waiting:
            time.sleep(IDLE_SECONDS)
            continue
        for path in waiting:
            slots, episodes = files.read_batch(path)
            with env.working():
                replay(
                    env, episodes, limits, slots or env.num_envs, lambda ids: heart.beat("working", ids), results.add
                )
            done.add(path.name)


if __name__ == "__main__":
    sys.exit(main())
