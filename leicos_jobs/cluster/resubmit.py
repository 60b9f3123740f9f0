"""Start a run's workflow again. Every stage does only what has no record, so this costs what is missing and no more.

Quarantined samples stay so unless they are to be tried again: then the notes of their failures are deleted.
"""

from __future__ import annotations

from leicos_jobs.cluster.submit import PIPELINE, Submission, create
from leicos_jobs.cluster.workflows import Workflows
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures
from leicos_jobs.run.cluster_uri import cluster_uri
from leicos_jobs.run.opened import open_run


def resubmit(
    uri: str,
    *,
    retry_quarantined: bool = False,
    template: str = PIPELINE,
    namespace: str | None = None,
    context: str | None = None,
    cluster: Workflows | None = None,
) -> Submission:
    """Submit an existing run again. Raises InputError if there is none, or no such WorkflowTemplate."""
    root = cluster_uri(uri)
    run = open_run(root)
    workflows = cluster or Workflows.connect(namespace, context)
    if "run" not in workflows.parameters(template):
        raise InputError(f"WorkflowTemplate {template} has no parameter run", fix="name one of leicos' templates")
    notes = []
    if retry_quarantined:
        notes.append(failures.forget(run.store))
    return create(workflows, template, {"run": root}, notes)
