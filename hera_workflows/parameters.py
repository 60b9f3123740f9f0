"""The workflow parameters: few, because the configuration is a document and not a list of flags."""

from __future__ import annotations

from hera.workflows import Parameter

from leicos_jobs.core.workflow_size import ROUNDS

RUN_OF_WORKFLOW = "{{workflow.parameters.run}}"
MAX_WORKERS_OF_WORKFLOW = "{{workflow.parameters.max-workers}}"
MUTEX = "run-{{=sprig.sha256sum(sprig.regexReplaceAll('/+$', workflow.parameters.run, ''))}}"
"""Name of the mutex that a workflow holds: one for each run. A digest, because the parts of a lock's name in Argo are
separated by slashes."""

HOW_TO_GO_ON = (
    f"Run {RUN_OF_WORKFLOW}. After a failure: `leicos resubmit {RUN_OF_WORKFLOW}`, which does only what is missing. "
    "Do not use RETRY: Argo 4.1 cannot retry a workflow that holds a mutex and semaphores."
)
"""Shown with every workflow, because the RETRY button is the first thing that people try."""

RUN = Parameter(
    name="run",
    description="Root URI of the run, for example s3://bucket/prefix/my-run. Everything that the run makes is kept "
    "under it; submitting again with the same root goes on where the last workflow stopped.",
)
"""The run root. No default: two runs that share a root by accident would be refused much later."""

CONFIG = Parameter(
    name="config",
    value="",
    description="The configuration: a store URI, the name of a ConfigMap in this namespace, or inline YAML. "
    "Empty: the configuration that the run already has (run.json).",
)

MAX_ROUNDS = Parameter(
    name="max-rounds",
    value=str(ROUNDS),
    description="How many rounds of generate, gate and label there may be. A round takes what the rounds before it "
    "left over; the minimum success ratio of the configuration decides after the last.",
)

MAX_WORKERS = Parameter(
    name="max-workers",
    value="0",
    description="At most so many pods of a stage take samples at the same time. 0: as the configuration says "
    "(plan.workers, replay.workers).",
)
