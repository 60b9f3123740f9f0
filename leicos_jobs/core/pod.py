"""What a process knows about the pod that it is the main container of."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

POD = "LEICOS_POD"
"""Environment variable that the rendered workflows set in every pod, and nothing else sets."""

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows what a container writes there as the reason of its end (terminationMessagePath), and Argo as part of
its node's message."""

EXPLANATION_MAX = 500
"""Characters. The message of every failed pod stands in the Workflow object, whose size is limited."""


def in_pod() -> bool:
    """Whether this process runs in a pod of a workflow."""
    return bool(os.environ.get(POD))


def explain(text: str) -> None:
    """Say why this container fails. Does nothing outside a pod, and never fails."""
    if in_pod():
        with suppress(OSError):
            TERMINATION_LOG.write_text(text[:EXPLANATION_MAX])
