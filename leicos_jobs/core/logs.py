"""One line per event on stderr, `key=value`, so that a pod's log can be read by people and searched by machines."""

from __future__ import annotations

import sys
import time
from typing import Any


def event(name: str, **fields: Any) -> None:
    """Print one event line, e.g. `12:00:01 generate.committed sample=3f9c seconds=1.2`."""
    parts = [time.strftime("%H:%M:%S"), name]
    for key, value in fields.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(f"{key}={text!r}" if " " in text or "\n" in text else f"{key}={text}")
    # one write a line: a worker and its backend's process share the stream
    sys.stderr.write(" ".join(parts) + "\n")
    sys.stderr.flush()
