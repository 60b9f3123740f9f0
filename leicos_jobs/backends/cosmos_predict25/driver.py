"""Runs inside upstream's own Python: loads the model once, makes one video after the other, survives a bad sample.

A file of its own: it imports nothing of leicos, and only upstream's public classes. It reads requests from standard
input and answers on the file descriptor named by --answers, one JSON object a line:

    <- {"name": ..., "line": {...}, "out": folder}      a sample: a line of upstream's batch format
    -> {"event": "ready", "seconds": ...}                the model is loaded
    -> {"event": "started", "name": ...}
    -> {"event": "done", "name": ..., "video": path, "seconds": ...}
    -> {"event": "failed", "name": ..., "error": text, "fatal": bool}
    -> {"event": "unusable", "error": text}              this upstream has no such classes: use its command line

The end of standard input ends it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

FATAL = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS", "device-side assert", "an illegal memory access")
"""After one of these the GPU context of this process is broken, and every further sample would fail."""


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--setup", type=Path, required=True, help="JSON: keyword arguments of SetupArguments")
    parser.add_argument("--answers", type=int, required=True, help="file descriptor")
    options = parser.parse_args()
    die_with_parent()
    answers = os.fdopen(options.answers, "w", buffering=1)
    # Upstream names its configuration files relative to its root, and imports itself by package name.
    os.chdir(options.checkout)
    # Python put this file's folder first; its neighbours' names (settings, command ...) must not hide upstream's.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(options.checkout), *(part for part in sys.path if Path(part or ".").resolve() != here)]
    begun = time.monotonic()
    try:
        upstream = Upstream(json.loads(options.setup.read_text()))
    except (ImportError, AttributeError) as error:
        traceback.print_exc()
        answer(answers, event="unusable", error=f"{type(error).__name__}: {error}")
        return 1
    answer(answers, event="ready", seconds=time.monotonic() - begun)
    for line in sys.stdin:
        if not serve(upstream, json.loads(line), answers):
            return 1
    sys.stdout.flush()
    # Not through the interpreter's end: upstream's libraries are known to hang or crash there, with nothing to gain.
    os._exit(0)


def die_with_parent() -> None:
    """End with the process that started us, on Linux. As `leicos_jobs.core.programs.die_with`, which upstream's Python
    does not have."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def answer(stream: TextIO, **message: Any) -> None:
    """Write one answer."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


class Upstream:
    """Upstream's classes, and the model."""

    def __init__(self, setup: dict[str, Any]) -> None:
        """Load. Raises ImportError or AttributeError if upstream is too old or too new for this."""
        from cosmos_oss.init import init_environment, init_output_dir  # type: ignore[import-not-found]
        from cosmos_predict2.config import InferenceArguments, SetupArguments  # type: ignore[import-not-found]

        self.arguments_class = InferenceArguments
        init_environment()
        arguments = SetupArguments(**setup)
        init_output_dir(arguments.output_dir)
        from cosmos_predict2.inference import Inference  # type: ignore[import-not-found]

        if not callable(getattr(Inference, "generate", None)):
            raise AttributeError("Inference has no generate")
        self.inference = Inference(arguments)

    def generate(self, line: dict[str, Any], out: Path) -> Path:
        """Make one video. Raises whatever upstream raises, and RuntimeError if it declined without an error."""
        out.mkdir(parents=True, exist_ok=True)
        sample = self.arguments_class.model_validate(line)
        written = self.inference.generate([sample], output_dir=out)
        if not written:
            raise RuntimeError("upstream made no video: its guardrail blocked the prompt or the result")
        return Path(written[0])


def serve(upstream: Upstream, request: dict[str, Any], answers: TextIO) -> bool:
    """Make one sample's video; False if the process is not fit for another."""
    name = request["name"]
    answer(answers, event="started", name=name)
    begun = time.monotonic()
    try:
        video = upstream.generate(request["line"], Path(request["out"]))
    except Exception as error:  # noqa: BLE001 - any error of upstream's is this sample's
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        fatal = any(part in text for part in FATAL) and "out of memory" not in text.lower()
        answer(answers, event="failed", name=name, error=text, fatal=fatal)
        release_memory()
        return not fatal
    answer(answers, event="done", name=name, video=str(video), seconds=time.monotonic() - begun)
    return True


def release_memory() -> None:
    """Give back what a failed sample held, so that an out-of-memory does not fail the next one too."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
