"""Upstream's own training script, told of a robot that it does not know: run by its interpreter, in the checkout.

    python idm_train.py JOB.json            (or under torchrun, once per GPU)

JOB: conf (content of conf.yaml), robot (key in it), seed, keep (checkpoints), arguments (of scripts/idm_training.py).
What is done at run time, with no file of the checkout touched: the data config is put into DATA_CONFIG_MAP; the seed,
which the script fixes, and the number of kept checkpoints are set; a callback prints lines that begin with `LEICOS `
and hold JSON. Resuming reads back files that this training wrote, so they are loaded whole (torch 2.6 and later would
refuse the random generator's state).
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

UPSTREAM_SEED = 42
"""The seed in scripts/idm_training.py; ours is added to it, so that 0 is upstream's own."""


class DataConfig:
    """What upstream's scripts want of an entry of DATA_CONFIG_MAP, made from conf.yaml's content."""

    def __init__(self, conf: dict[str, Any], robot: str) -> None:
        self._parts = conf["modality_configs"][robot]
        self._chain = conf["all_transforms"][robot]

    def modality_config(self) -> dict[str, Any]:
        """Rows and columns a window takes."""
        instantiate = importlib.import_module("hydra.utils").instantiate
        return {name: instantiate(part) for name, part in self._parts.items()}

    def transform(self) -> Any:
        """The transform chain."""
        return importlib.import_module("hydra.utils").instantiate(self._chain)


def say(**facts: Any) -> None:
    """One line for the parent, from the first process only."""
    if int(os.environ.get("RANK", "0")) == 0:
        print("\nLEICOS " + json.dumps(facts), flush=True)  # a progress bar may have left its line open


def reporter() -> Any:
    """A Trainer callback that says steps and finished checkpoints."""
    base = importlib.import_module("transformers").TrainerCallback

    class Reporter(base):  # type: ignore[misc, valid-type]
        def on_step_end(self, args: Any, state: Any, control: Any, **_rest: Any) -> None:
            say(step=state.global_step, steps=state.max_steps)

        def on_save(self, args: Any, state: Any, control: Any, **_rest: Any) -> None:
            say(saved=state.global_step)

    return Reporter()


def prepare(job: dict[str, Any]) -> None:
    """Everything that is changed at run time."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    seed = UPSTREAM_SEED + int(job["seed"])
    arguments = transformers.TrainingArguments

    def training_arguments(*args: Any, **named: Any) -> Any:
        ours = {"seed": seed, "save_total_limit": int(job["keep"]), "disable_tqdm": True}
        return arguments(*args, **(named | ours))

    transformers.TrainingArguments = training_arguments
    torch.load = functools.partial(torch.load, weights_only=False)
    configs = importlib.import_module("gr00t.experiment.data_config_idm")
    configs.DATA_CONFIG_MAP[job["robot"]] = DataConfig(job["conf"], job["robot"])
    runner = importlib.import_module("gr00t.experiment.runner_idm").TrainRunner
    train = runner.train

    def reported(self: Any) -> Any:
        # last, so that `saved` is said after upstream's own callback has copied experiment_cfg into the checkpoint
        self.trainer.add_callback(reporter())
        return train(self)

    runner.train = reported
    transformers.set_seed(seed)  # the script draws the network's weights before it sets its seed


def die_with_parent() -> None:
    """End with the process that started us, on Linux: under torchrun every rank with torchrun, which leicos kills. As
    `leicos_jobs.core.programs.die_with`, which upstream's Python does not have."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> None:
    """Run the job named on the command line."""
    die_with_parent()
    job = json.loads(Path(sys.argv[1]).read_text())
    prepare(job)
    script = Path.cwd() / "scripts" / "idm_training.py"
    sys.argv = [str(script), *job["arguments"]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
