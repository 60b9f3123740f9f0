"""What a schema cannot see: references to nothing, pods that would run anywhere, objects that would not fit.

`check` works offline on rendered manifests (plain dictionaries). Argo's own `argo lint` finds some of it, but accepts
unknown task arguments, a GPU without a pool, an output without a default and a workflow too large for etcd.
"""

from __future__ import annotations

from typing import Any

from hera_workflows.lint import fields, names, pods, references
from leicos_jobs.core.workflow_size import most_shards, too_large
from leicos_jobs.local.checks import Problem

__all__ = ["Problem", "check", "check_size"]


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Every problem of a set of WorkflowTemplates that refer to each other. Empty means that none was found."""
    if unknown := [problem for manifest in manifests for problem in fields.check(manifest)]:
        return unknown  # the other checks rely on the form
    return [*names.check(manifests), *pods.check(manifests), *references.check(manifests)]


def check_size(shards: int, rounds: int, replay_shards: int = 0) -> list[Problem]:
    """Refuse a plan whose workflow would not fit with all its rounds and a fifth of the pods retried."""
    text = too_large(shards, rounds, replay_shards)
    if text is None:
        return []
    left = max(0, most_shards(rounds, replay_shards))
    return [Problem("plan", text, f"make shards longer: at most {left} a round")]
