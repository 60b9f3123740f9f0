"""Upstream's own answer for some windows of a video: run by upstream's interpreter, in the checkout, as a script.

    python idm_check.py JOB.json

JOB: checkpoint (folder with config.json, weights and experiment_cfg/), robot (key in conf.yaml), camera, frames (npy,
(L, H, W, 3) uint8 RGB), windows (list of first frames), second (rows between a window's two frames), noise (npy,
(windows, 16, 32) float32), batch, device, autocast (bool), repeats, out (npz). Writes images (windows * 2, 3, S, S)
float32 as the network sees them, predicted (windows, 16, 32) normalised, actions (windows, 16, joints), seconds per
repeat of get_action. It imports upstream and nothing of leicos.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch


def transforms(job: dict[str, Any]) -> Any:
    """The checkpoint's own chain, in evaluation mode, with the statistics that training noted."""
    folder = Path(job["checkpoint"]) / "experiment_cfg"
    loaded = importlib.import_module("omegaconf").OmegaConf.load(folder / "conf.yaml")
    chain = importlib.import_module("hydra.utils").instantiate(loaded["all_transforms"][job["robot"]])
    schema = importlib.import_module("gr00t.data.schema")
    (facts,) = json.loads((folder / "metadata.json").read_text()).values()
    chain.set_metadata(schema.DatasetMetadata.model_validate(facts))
    chain.eval()
    return chain


def features(job: dict[str, Any], chain: Any) -> dict[str, Any]:
    """Inputs of all windows as the dump script collates them."""
    frames = np.load(job["frames"], mmap_mode="r")
    last = len(frames) - 1
    parts = []
    for first in job["windows"]:
        pair = np.ascontiguousarray(frames[[first, min(first + job["second"], last)]])
        parts.append(chain({f"video.{job['camera']}": pair}))
    joined = {"images", "view_ids"}
    return {key: (np.concatenate if key in joined else np.stack)([part[key] for part in parts]) for key in parts[0]}


def sample(job: dict[str, Any], model: Any, inputs: dict[str, Any], noise: torch.Tensor) -> torch.Tensor:
    """get_action in batches, with our noise in place of its own draw."""
    device, size = torch.device(job["device"]), int(job["batch"])
    draw, to_cuda = torch.randn, torch.Tensor.cuda
    if device.type == "cpu":  # it says .cuda() without asking
        torch.Tensor.cuda = lambda self, *_args, **_named: self  # type: ignore[method-assign]
    found = []
    try:
        for first in range(0, len(noise), size):
            part = noise[first : first + size].to(device)
            torch.randn = lambda *_args, given=part, **_named: given
            images = slice(2 * first, 2 * (first + size))
            batch = {
                key: torch.as_tensor(value[images if key in ("images", "view_ids") else slice(first, first + size)],
                                     device=device)
                for key, value in inputs.items()
            }  # fmt: skip
            with torch.autocast(device.type, torch.bfloat16) if job["autocast"] else nullcontext():
                found.append(model.get_action(batch)["action_pred"].float().cpu())
    finally:
        torch.randn, torch.Tensor.cuda = draw, to_cuda  # type: ignore[method-assign]
    return torch.cat(found)


def main() -> None:
    """Run the job named on the command line."""
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    chain = transforms(job)
    inputs = features(job, chain)
    model, loading = importlib.import_module("gr00t.model.idm").IDM.from_pretrained(
        job["checkpoint"], output_loading_info=True
    )
    if loading["missing_keys"] or loading["unexpected_keys"]:
        raise SystemExit(f"weights do not fit: {loading}")
    model.requires_grad_(False)
    model.eval().to(job["device"])
    noise = torch.from_numpy(np.load(job["noise"]))
    seconds = []
    for _ in range(int(job.get("repeats", 1))):
        begun = time.perf_counter()
        predicted = sample(job, model, inputs, noise)
        seconds.append(time.perf_counter() - begun)
    order = next(step.action_concat_order for step in chain.transforms if hasattr(step, "action_concat_order"))
    plain = chain.unapply({"action": predicted.clone()})
    actions = np.concatenate([np.asarray(plain[key]) for key in order], axis=-1)
    np.savez(
        job["out"], images=inputs["images"], predicted=predicted.numpy(), actions=actions, seconds=np.array(seconds)
    )


if __name__ == "__main__":
    main()
