"""Start a run on a cluster: check, bring local recordings into the run, write run.json, create the Workflow.

Nothing of it is needed by Argo: `argo submit` with the parameters that `Submission.argo` prints does the same, and so
does a second `leicos submit`, which goes on where the run stands.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from leicos_jobs.cluster.upload import plan_sources, upload
from leicos_jobs.cluster.workflows import Workflows
from leicos_jobs.core import logs
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.cluster_uri import cluster_uri
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.inputs import RUN_PREFIX
from leicos_jobs.run.opened import create_run, open_run
from leicos_jobs.stages.start import amended, resolve_config

PIPELINE = "leicos-pipeline"
RUN_LABEL = "leicos.dev/run"


class Submission(BaseModel):
    """A workflow that was created."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workflow: str
    namespace: str
    template: str
    parameters: dict[str, str]
    notes: tuple[str, ...] = ()

    def argo(self) -> str:
        """The argo command that does the same."""
        command = ["argo", "submit", "-n", self.namespace, "--from", f"workflowtemplate/{self.template}"]
        for name, value in self.parameters.items():
            command += ["-p", f"{name}={value}"]
        return shlex.join(command)

    def text(self) -> str:
        """For people: what was done and what comes next."""
        lines = [f"{self.namespace}/{self.workflow} is submitted", *self.notes, "the same with argo:"]
        lines += [f"  {self.argo()}", "to watch it:", f"  argo watch -n {self.namespace} {self.workflow}"]
        return "\n".join([*lines, f"  leicos status {shlex.quote(self.parameters['run'])} --watch"])


def submit(
    uri: str,
    config: str | RunConfig | None,
    *,
    template: str = PIPELINE,
    parameters: Mapping[str, str] | None = None,
    namespace: str | None = None,
    context: str | None = None,
    amend: bool = False,
    cluster: Workflows | None = None,
) -> Submission:
    """Submit a run. `config`: text, file or URI as `stages.start` takes it; None goes on with the run's own.

    What can be refused is refused before anything is written. Raises InputError, RetryError.
    """
    root = cluster_uri(uri)
    given = resolve_config(config) if isinstance(config, str) else config
    if given is None:
        open_run(root)
    workflows = cluster or Workflows.connect(namespace, context)
    values = _values(workflows, template, {"run": root, **(parameters or {})})
    if amend and (others := workflows.active(root)):
        raise InputError(
            f"{root}: {', '.join(others)} works on it, with the configuration that --amend would replace",
            fix=f"wait for its end, or stop it first: argo stop -n {workflows.namespace} {' '.join(others)}",
        )
    notes = [] if given is None else _bring(root, given, amend=amend)
    return create(workflows, template, values, notes)


def resubmit(
    uri: str,
    *,
    retry_quarantined: bool = False,
    template: str = PIPELINE,
    namespace: str | None = None,
    context: str | None = None,
    cluster: Workflows | None = None,
) -> Submission:
    """Submit an existing run again: every stage does only what has no record. retry_quarantined: the notes of failures
    are deleted, so that quarantined samples are tried, too. Raises InputError: no run, no such WorkflowTemplate."""
    root = cluster_uri(uri)
    run = open_run(root)
    workflows = cluster or Workflows.connect(namespace, context)
    if "run" not in workflows.parameters(template):
        raise InputError(f"WorkflowTemplate {template} has no parameter run", fix="name one of leicos' templates")
    notes = []
    if retry_quarantined:
        notes.append(failures.forget(run.store))
    return create(workflows, template, {"run": root}, notes)


def create(workflows: Workflows, template: str, values: dict[str, str], notes: list[str]) -> Submission:
    """Create the Workflow, and say what it will wait for: others on the same run, slots that ended ones still hold."""
    if others := workflows.active(values["run"]):
        notes.append(
            f"note: {', '.join(others)} works on the same run; this one waits for its end "
            f"(sooner: argo stop -n {workflows.namespace} {' '.join(others)})"
        )
    for name, pools in workflows.ended_holders().items():
        notes.append(
            f"note: {name} has ended, but Argo still counts it in the pool {', '.join(pools)}, and pods wait for that; "
            f"free it: kubectl -n {workflows.namespace} delete workflow {name}"
        )
    name = workflows.create(workflow_object(template, values))
    return Submission(
        workflow=name, namespace=workflows.namespace, template=template, parameters=values, notes=tuple(notes)
    )


def workflow_object(template: str, values: Mapping[str, str]) -> dict[str, object]:
    """The Workflow, as `argo submit --from` makes it."""
    arguments = [{"name": name, "value": value} for name, value in values.items()]
    labels = {"workflows.argoproj.io/workflow-template": template, RUN_LABEL: digest_of(values["run"], 64)}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{template}-", "labels": labels},
        "spec": {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": arguments}},
    }


def _values(workflows: Workflows, template: str, values: dict[str, str]) -> dict[str, str]:
    known = workflows.parameters(template)
    if unknown := sorted(values.keys() - set(known)):
        raise InputError(
            f"WorkflowTemplate {template} has no parameter {', '.join(unknown)}", fix=f"it has {', '.join(known)}"
        )
    return values


def _bring(root: str, given: RunConfig, *, amend: bool) -> list[str]:
    """Check the configuration, write run.json and upload what is local; returns notes."""
    notes = []
    try:
        check_backends(given)
    except InputError as error:
        if not isinstance(error.__cause__, ImportError):
            raise
        notes.append(f"note: not checked here, the first pod will: {error.message}")
    config, sources = plan_sources(given)
    known = {f"{RUN_PREFIX}{source.key}": f"sha256:{source.sha256}" for source in sources}
    run = amended(root, config, known) if amend else create_run(root, config, known=known)
    for source in sources:
        sent = upload(run.store, source)
        logs.event("submit.source", key=source.key, sha256=source.sha256, sent=sent)
        notes.append(f"{source.path}: {'uploaded to' if sent else 'already at'} {root}/{source.key}")
    return notes
