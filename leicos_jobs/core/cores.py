"""How many processes have a core each."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Cores that this process may use; in a container with a CPU set fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
