"""The manifests that come with the package: the same files that the chart installs."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

PACKAGE = "leicos_jobs.manifests"


def shipped_texts() -> dict[str, str]:
    """File name -> text of all WorkflowTemplates of this release, in the order of their names."""
    found = sorted((entry for entry in files(PACKAGE).iterdir() if entry.name.endswith(".yaml")), key=lambda e: e.name)
    return {entry.name: entry.read_text() for entry in found}


def shipped_manifests() -> list[dict[str, Any]]:
    """The same, parsed."""
    return [yaml.safe_load(text) for text in shipped_texts().values()]
