"""The command line: validates everything first, then one sample after the other; exit codes as bad as upstream's."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from cosmos_predict2 import model
from cosmos_predict2.config import InferenceArguments

parser = argparse.ArgumentParser()
parser.add_argument("-i", type=Path, required=True)
parser.add_argument("-o", type=Path, required=True)
parser.add_argument("--context-parallel-size", type=int, default=int(os.environ.get("WORLD_SIZE", "1")))
parser.add_argument("--skip-existing-output", action="store_true")
parser.add_argument("--disable-guardrails", action="store_true")
for name in ("--model", "--checkpoint-path", "--experiment"):
    parser.add_argument(name)
options = parser.parse_args()
lines = [InferenceArguments.model_validate(json.loads(line)) for line in options.i.read_text().splitlines() if line]
if options.skip_existing_output:
    lines = [line for line in lines if not any(options.o.glob(f"{line['name']}.*"))]
if not lines:
    print("Error: No inference samples", file=sys.stderr)
    sys.exit(1)
options.o.mkdir(parents=True, exist_ok=True)
if os.environ.get("FAKE_LOAD_FAILS"):
    raise RuntimeError("no CUDA-capable device is detected")
model.journal("load", {"seed": 0})
model.write_load_log(options.o)
stop_after = int(os.environ.get("FAKE_STOP_AFTER", "1000000"))
for number, line in enumerate(lines):
    if number == stop_after:
        break  # exit 0 with samples missing
    model.generate(line, options.o)
if os.environ.get("FAKE_EXIT"):
    sys.exit(int(os.environ["FAKE_EXIT"]))
