from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FIELDS = {
    "name", "inference_type", "prompt", "prompt_path", "input_path", "negative_prompt", "seed", "guidance",
    "resolution", "num_output_frames", "num_steps", "enable_autoregressive", "chunk_size", "chunk_overlap",
}  # fmt: skip


class SetupArguments:
    def __init__(self, *, output_dir: str, model: str, **others: Any) -> None:
        known = {"checkpoint_path", "experiment", "context_parallel_size", "disable_guardrails", "keep_going"}
        known |= {"offload_diffusion_model", "offload_tokenizer", "offload_text_encoder"}
        if set(others) - known:
            raise ValueError(f"extra inputs are not permitted: {sorted(set(others) - known)}")
        self.output_dir = Path(output_dir)
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "PYTHONPATH"):
            if name in os.environ:
                raise ValueError(f"{name} leaked into upstream's environment")


class InferenceArguments(dict):
    @classmethod
    def model_validate(cls, line: dict[str, Any]) -> InferenceArguments:
        if set(line) - FIELDS:
            raise ValueError(f"extra inputs are not permitted: {sorted(set(line) - FIELDS)}")
        if not Path(line["input_path"]).is_file():
            raise ValueError(f"input_path {line['input_path']} is not a file")
        return cls(line)
