"""The manifests that come with the package: the same files that the chart installs."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

PACKAGE = "leicos_jobs.manifests"


def shipped_manifests() -> list[dict[str, Any]]:
    """All WorkflowTemplates of this release, in the order of their names."""
    found = sorted((entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return [yaml.safe_load(entry.read_text()) for entry in found]
