"""What a schema cannot see: references to nothing, pods that would run anywhere, objects that would not fit.

`check` works offline on rendered manifests (plain dictionaries). Argo's own `argo lint` finds some of it, but accepts
unknown task arguments, a GPU without a pool, an output without a default and a workflow too large for etcd.
"""

from __future__ import annotations

from typing import Any

from hera_workflows.lint import fields, names, pods, references
from leicos_jobs.core.workflow_size import most_workers, too_large
from leicos_jobs.local.checks import Problem

__all__ = ["Problem", "check", "check_size"]


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Every problem of a set of WorkflowTemplates that refer to each other. Empty means that none was found."""
    if unknown := [problem for manifest in manifests for problem in fields.check(manifest)]:
        return unknown  # the other checks rely on the form
    return [*names.check(manifests), *pods.check(manifests), *references.check(manifests)]


def check_size(workers: int, rounds: int, replay_workers: int = 0) -> list[Problem]:
    """Refuse so many workers that the workflow would not fit with all its rounds and its lost pods."""
    text = too_large(workers, rounds, replay_workers)
    if text is None:
        return []
    left = max(0, most_workers(rounds, replay_workers))
    return [Problem("plan", text, f"have fewer workers: at most {left} per round")]
