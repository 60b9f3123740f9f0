from __future__ import annotations

import os
import time
from pathlib import Path

from cosmos_predict2 import model
from cosmos_predict2.config import InferenceArguments, SetupArguments


class Inference:
    def __init__(self, args: SetupArguments) -> None:
        time.sleep(float(os.environ.get("FAKE_LOAD_SECONDS", "0")))
        if os.environ.get("FAKE_LOAD_FAILS"):
            raise RuntimeError("no CUDA-capable device is detected")
        model.journal("load", {"seed": 0})
        model.write_load_log(args.output_dir)

    def generate(self, samples: list[InferenceArguments], output_dir: Path) -> list[str]:
        made = [model.generate(sample, Path(output_dir)) for sample in samples]
        return [path for path in made if path is not None]
