"""Runs a script of the real cosmos-predict2.5 checkout without a GPU: only the model is replaced.

    python upstream_shim.py CHECKOUT SCRIPT [ARGUMENTS]

Real: the argument parser, schema, runner, logging, output code and files. Replaced: the class that loads and runs the
diffusion model (`Video2WorldInference`), the guardrails, and packages that only those need. It runs in a virtual
environment of its own (see test_real_upstream.py), never in leicos'.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import runpy
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any
from unittest import mock

ABSENT = {
    "apex", "better_profanity", "boto3", "botocore", "cosmos_gradio", "cv2", "decord", "diffusers", "ffmpegcv",
    "flash_attn", "ftfy", "huggingface_hub", "iopath", "kornia", "megatron", "multistorageclient", "natten",
    "nltk", "nvidia_resiliency_ext", "peft", "psutil", "pyinstrument", "pynvml", "pytz", "qwen_vl_utils",
    "retinaface", "s3fs", "safetensors", "scipy", "sentencepiece", "skimage", "tensorrt", "timm", "tokenizers",
    "torchvision", "transformer_engine", "transformer_engine_torch", "transformers", "trimesh", "wandb",
    "webdataset",
}  # fmt: skip
REPLACED = {
    "cosmos_predict2._src.predict2.inference.video2world",
    "cosmos_predict2._src.imaginaire.auxiliary.guardrail.common.presets",
}


class FakePipe:
    """In the place of Video2WorldInference: same calls, same shapes, noise-free pictures, and faults on request.

    Words in the prompt choose the fault: RAISE, OOM, KILL, SHORT (too few frames), SLOW.
    """

    def __init__(self, experiment_name: str, ckpt_path: str, **_arguments: Any) -> None:
        import attrs
        from cosmos_predict2._src.imaginaire.utils import log

        self.config = attrs.make_class("Config", ["experiment", "ckpt_path"])(experiment_name, ckpt_path)
        missing = os.environ.get("FAKE_MISSING_KEYS", "")
        keys = f"[{missing!r}]" if missing else "[]"
        log.critical("load model in non-strict mode")
        # As text2world_model_rectified_flow.load_state_dict logs it; model_loader then claims success whatever it says.
        log.critical(f"_IncompatibleKeys(missing_keys={keys}, unexpected_keys=[], incorrect_shapes=[])")
        log.info("Checkpoint weights loaded successfully (strict=True).")

    def generate_autoregressive_from_batch(self, **arguments: Any) -> Any:
        return self._make(arguments, arguments["num_output_frames"])

    def generate_vid2world(self, **arguments: Any) -> Any:
        return self._make(arguments, 93)

    def _make(self, arguments: dict[str, Any], frames: int) -> Any:
        import torch

        assert arguments["num_latent_conditional_frames"] == 2
        prompt = arguments["prompt"]
        if path := os.environ.get("FAKE_JOURNAL"):
            with Path(path).open("a") as stream:
                stream.write(json.dumps({"name": "sample", "seed": arguments["seed"], "pid": os.getpid()}) + "\n")
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
        if "RAISE" in prompt:
            raise ValueError("the clip cannot be read")
        if "OOM" in prompt:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        if "KILL" in prompt:
            os.kill(os.getpid(), signal.SIGKILL)
        if "SHORT" in prompt:
            frames -= 7
        height, width = (int(side) for side in arguments["resolution"].split(","))
        row = torch.linspace(-1, 1, width).expand(3, height, width)
        shift = [row.roll(2 * frame + arguments["seed"], dims=2) for frame in range(frames)]
        return torch.stack(shift, dim=1)[None]


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name in REPLACED or name.partition(".")[0] in ABSENT or name.startswith("cosmos_predict2._src.reason1."):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


class Meta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock(name=f"{cls.__name__}.{name}")

    def __iter__(cls) -> Any:
        return iter(())

    def __or__(cls, other: Any) -> Any:
        return cls

    __ror__ = __or__


class Anything(metaclass=Meta):
    """Base of stand-in classes: takes any arguments, any subscript."""

    def __init__(self, *_arguments: Any, **_named: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return mock.MagicMock(name=name)

    def __class_getitem__(cls, _item: Any) -> Any:
        return cls


class Stub(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return "0.1.0"
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "Video2WorldInference":
            return FakePipe
        # Capitalised names may be base classes or types in annotations, which a MagicMock cannot be.
        value = type(name, (Anything,), {}) if name[:1].isupper() else mock.MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


def main() -> None:
    checkout, script, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Finder())
    sys.path[:0] = [checkout, *(str(Path(checkout, "packages", name)) for name in ("cosmos-oss", "cosmos-cuda"))]
    sys.argv = [script, *arguments]
    import torch

    torch.cuda.current_device = lambda: 0  # asked for at import
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
