"""Run by a Python that has lerobot, never by ours: record a small dataset as its users do, with its own settings."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


def main(root: str) -> None:
    import inspect

    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    vector = {"dtype": "float32", "shape": (6,), "names": [f"{joint}.pos" for joint in JOINTS]}
    image = {"dtype": "video", "shape": (96, 128, 3), "names": ["height", "width", "channels"]}
    features = {"action": vector, "observation.state": vector, "observation.images.front": image}
    dataset = LeRobotDataset.create("leicos/test", 30, features, root=root, robot_type="so101_follower")
    task_apart = "task" in inspect.signature(dataset.add_frame).parameters  # 0.3; in the frame since 0.4
    random = np.random.default_rng(0)
    for episode, length in enumerate((20, 21, 22)):
        task = f"Task {episode % 2}."
        for step in range(length):
            frame: dict[str, Any] = {
                "action": random.normal(0, 30, 6).astype(np.float32),
                "observation.state": random.normal(0, 30, 6).astype(np.float32),
                "observation.images.front": np.full((96, 128, 3), 5 * step + episode, np.uint8),
            }
            if task_apart:
                dataset.add_frame(frame, task=task)
            else:
                dataset.add_frame(frame | {"task": task})
        dataset.save_episode()
    if hasattr(dataset, "finalize"):
        dataset.finalize()


if __name__ == "__main__":
    main(sys.argv[1])
