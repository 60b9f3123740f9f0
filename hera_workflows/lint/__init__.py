"""What a schema cannot see: references that lead nowhere, pods that would run anywhere, objects that would not fit.

`check` works offline on rendered manifests (plain dictionaries) and needs no Hera. Argo's own `argo lint` finds some of
it, but accepts unknown task arguments, a GPU without a pool, an output without a default and a workflow too large for
etcd.
"""

from __future__ import annotations

from typing import Any

from hera_workflows.lint import names, pods, references
from hera_workflows.lint.problems import Problem
from hera_workflows.lint.size import check_size, object_bytes

__all__ = ["Problem", "check", "check_size", "object_bytes"]


def check(manifests: list[dict[str, Any]]) -> list[Problem]:
    """Every problem of a set of WorkflowTemplates that refer to each other. Empty means that none was found."""
    return [*names.check(manifests), *pods.check(manifests), *references.check(manifests)]
