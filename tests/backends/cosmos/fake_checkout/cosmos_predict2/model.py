"""The model: makes a file as upstream does, in place and slowly, with faults on request by words in the prompt.

RAISE, OOM: an exception. KILL: the process dies while the file is half written. SHORT: too few frames. BLOCK: the
guardrail declines. CUDA: an error after which the process is of no use. HANG: never ends. FLAKY: dies the first time.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import av
import numpy as np


class OutOfMemoryError(RuntimeError):
    pass


def seconds() -> float:
    return float(os.environ.get("FAKE_SECONDS", "0.02"))


def generate(line: dict[str, Any], output: Path) -> str | None:
    """NAME.json first, then NAME.mp4 in place; None if the guardrail declined."""
    name, prompt = line["name"], line["prompt"]
    resolved = {"prompt_path": None, **line, "input_path": str(Path(line["input_path"]).absolute())}
    (output / f"{name}.json").write_text(json.dumps(resolved))
    journal(name, line)
    time.sleep(seconds() / 2)
    if "BLOCK" in prompt:
        return None
    try:
        with av.open(line["input_path"]) as clip:
            next(clip.decode(video=0))
    except (av.FFmpegError, StopIteration) as error:
        raise ValueError(f"Failed to load video {line['input_path']}: {error}") from None
    if "RAISE" in prompt:
        raise ValueError("Failed to load video: the clip cannot be read")
    if "OOM" in prompt:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    if "CUDA" in prompt:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if "HANG" in prompt:
        time.sleep(3600)
    frames = line["num_output_frames"] if line["enable_autoregressive"] else 93
    if "SHORT" in prompt:
        frames -= 7
    data = encode(line["seed"], frames, *(int(side) for side in line["resolution"].split(",")))
    with (output / f"{name}.mp4").open("wb") as stream:
        stream.write(data[: len(data) // 2])
        stream.flush()
        marker = Path(line["input_path"]).parent / f"{name}.flaky"
        if "KILL" in prompt or ("FLAKY" in prompt and not marker.exists()):
            marker.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds() / 2)
        stream.write(data[len(data) // 2 :])
    return str(output / f"{name}.mp4")


def journal(name: str, line: dict[str, Any]) -> None:
    """What was worked on, for the tests to count."""
    if path := os.environ.get("FAKE_JOURNAL"):
        with Path(path).open("a") as stream:
            stream.write(json.dumps({"name": name, "seed": line["seed"], "pid": os.getpid()}) + "\n")


_ENCODED: dict[tuple[int, int, int, int], bytes] = {}


def encode(seed: int, frames: int, height: int, width: int) -> bytes:
    """An H.264 mp4 labelled 16 frames/s, as upstream's imageio writes it, whose pictures depend on the seed."""
    import io

    key = (seed, frames, height, width)
    if key not in _ENCODED:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as output:
            stream = output.add_stream("libx264", rate=16)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"preset": "ultrafast"}
            for index in range(frames):
                picture = np.full((height, width, 3), (seed * 3 + index) % 200, np.uint8)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            output.mux(stream.encode(None))
        _ENCODED[key] = buffer.getvalue()
    return _ENCODED[key]


def write_load_log(output: Path) -> None:
    """debug.log as upstream leaves it: the keys that did not fit, then a claim of success whatever they were."""
    if os.environ.get("FAKE_SILENT_LOG"):
        (output / "debug.log").write_text("[INFO|model_loader] Checkpoint weights loaded.\n")
        return
    missing = os.environ.get("FAKE_MISSING_KEYS_OF_PT", "") or os.environ.get("FAKE_MISSING_KEYS", "")
    keys = repr([missing] if missing else [])
    with (output / "debug.log").open("w") as stream:
        stream.write("[CRITICAL|model:load_state_dict] load model in non-strict mode\n")
        stream.write(
            f"[CRITICAL|...] _IncompatibleKeys(missing_keys={keys}, unexpected_keys=[], incorrect_shapes=[])\n"
        )
        stream.write("[INFO|model_loader] Checkpoint weights loaded successfully (strict=True).\n")
