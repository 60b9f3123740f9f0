"""The peers of the conversion benchmark; runs in an environment of lerobot, imports nothing of leicos.

The loop is LeIsaac's isaaclab2lerobot.py without Isaac Sim: read a whole episode, rows from 5 on, add_frame each,
save_episode. Prints one JSON line: version, mode, frames, seconds, cpu_seconds, peak_mib, bytes.
Example: /path/of/lerobot-0.3.3/bin/python benchmarks/convert_peer.py soft.hdf5 /tmp/out --demos 1 --mode default
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

NAMES = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
LOW = [-110, -100, -100, -95, -160, -10]
HIGH = [110, 100, 90, 95, 160, 100]
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "h264": {"vcodec": "h264"},
    "streaming-h264": {"vcodec": "h264", "streaming_encoding": True, "encoder_queue_maxsize": 100_000},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--demos", type=int, default=1)
    parser.add_argument("--mode", choices=MODES, default="default")
    arguments = parser.parse_args()

    import h5py
    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    version = importlib.metadata.version("lerobot")
    task_in_frame = version >= "0.4"
    low, high = np.array(LOW, np.float32), np.array(HIGH, np.float32)
    motor_low, motor_high = np.array([-100] * 5 + [0], np.float32), np.full(6, 100, np.float32)

    def units(radians: np.ndarray) -> np.ndarray:
        return (radians / np.pi * 180 - low) / (high - low) * (motor_high - motor_low) + motor_low

    with h5py.File(arguments.source) as file:
        height, width = file["data/demo_0/obs/front"].shape[1:3]
        vector = {"dtype": "float32", "shape": (6,), "names": [f"{name}.pos" for name in NAMES]}
        image = {"dtype": "video", "shape": (height, width, 3), "names": ["height", "width", "channels"]}
        features = {"action": vector, "observation.state": vector, "observation.images.front": image}
        begun, used = time.perf_counter(), _cpu()
        dataset = LeRobotDataset.create(
            "bench/x", fps=30, features=features, root=arguments.out, robot_type="so101", **MODES[arguments.mode]
        )
        frames = 0
        for number in range(arguments.demos):
            group = file[f"data/demo_{number}"]
            episode = {key: np.array(group[key]) for key in ("actions", "obs/joint_pos", "obs/front")}
            for row in range(5, len(episode["actions"])):
                frame: dict[str, Any] = {
                    "action": units(episode["actions"][row]),
                    "observation.state": units(episode["obs/joint_pos"][row]),
                    "observation.images.front": episode["obs/front"][row],
                }
                if task_in_frame:
                    dataset.add_frame(frame | {"task": "Lift the red cube up."})
                else:
                    dataset.add_frame(frame, task="Lift the red cube up.")
                frames += 1
            dataset.save_episode()
        if hasattr(dataset, "finalize"):
            dataset.finalize()
        seconds = time.perf_counter() - begun
    size = sum(path.stat().st_size for path in arguments.out.rglob("*.mp4"))
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    result = {
        "peer": f"lerobot {version} {arguments.mode}",
        "frames": frames,
        "seconds": seconds,
        "cpu_seconds": _cpu() - used,
        "peak_mib": peak // 1024,
        "bytes_per_frame": size / frames,
    }
    print(json.dumps(result))


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
