"""Run by a Python that has lerobot, never by ours: load a dataset as its users do and say what is in it, as JSON.

Prints, for the first and the last frame of every episode: index, action, state, timestamp, task and the image as
hexadecimal RGB bytes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def main(root: str) -> None:
    import importlib.metadata

    import numpy as np
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("leicos/test", root=root, video_backend="pyav")
    ends = []
    for episode in range(dataset.meta.total_episodes):
        rows = [index for index, one in enumerate(dataset.hf_dataset["episode_index"]) if int(one) == episode]
        ends += [rows[0], rows[-1]]
    found: list[dict[str, Any]] = []
    for index in ends:
        item = dataset[index]
        image = np.round(item["observation.images.front"].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
        found.append(
            {
                "index": int(item["index"]),
                "episode": int(item["episode_index"]),
                "frame": int(item["frame_index"]),
                "timestamp": float(item["timestamp"]),
                "action": item["action"].tolist(),
                "state": item["observation.state"].tolist(),
                "task": item["task"],
                "shape": list(image.shape),
                "image": image.tobytes().hex(),
            }
        )
    facts = {
        "version": importlib.metadata.version("lerobot"),
        "frames": len(dataset),
        "fps": dataset.fps,
        "action_mean": np.ravel(dataset.meta.stats["action"]["mean"]).tolist(),
        "items": found,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
