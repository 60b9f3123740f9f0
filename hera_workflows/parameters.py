"""The workflow parameters: few, because the configuration is a document and not a list of flags."""

from __future__ import annotations

from hera.workflows import Parameter

from leicos_jobs.core.workflow_size import ROUNDS

RUN_OF_WORKFLOW = "{{workflow.parameters.run}}"


def run() -> Parameter:
    """The run root. No default: two runs that share a root by accident would be refused much later."""
    return Parameter(
        name="run",
        description="Root URI of the run, for example s3://bucket/prefix/my-run. Everything that the run makes is kept "
        "under it; submitting again with the same root goes on where the last workflow stopped.",
    )


def config() -> Parameter:
    """The configuration document, in one of three forms."""
    return Parameter(
        name="config",
        value="",
        description="The configuration: a store URI, the name of a ConfigMap in this namespace, or inline YAML. "
        "Empty: the configuration that the run already has (run.json).",
    )


def max_rounds() -> Parameter:
    """How often what a round left over is planned anew."""
    return Parameter(
        name="max-rounds",
        value=str(ROUNDS),
        description="How many rounds of generate, gate and label there may be. A round takes what the rounds before it "
        "left over; the minimum success ratio of the configuration decides after the last.",
    )
