"""Tasks of a DAG, and where the template of each command is defined.

Each command's template is defined once, in the WorkflowTemplate that it belongs to. Every other one refers to it.
"""

from __future__ import annotations

from typing import Any

from hera.workflows import Task, models

from hera_workflows.parameters import RUN_OF_WORKFLOW
from hera_workflows.strict import exactly
from leicos_jobs.core.stages import Stage

PIPELINE = "leicos-pipeline"


def call(
    here: str, home: str, template: str, *, arguments: dict[str, str], name: str | None = None, **options: Any
) -> Task:
    """A task in a DAG of `here` that runs a template of `home`, by name if those are the same, else by templateRef.
    options: depends, when and with_param, as Hera's Task takes them."""
    reference = None if here == home else exactly(models.TemplateRef, name=home, template=template)
    target = None if reference else template
    return Task(name=name or template, template=target, template_ref=reference, arguments=arguments, **options)


def task(
    here: str,
    command: Stage,
    *,
    arguments: dict[str, str] | None = None,
    run: str = RUN_OF_WORKFLOW,
    **options: str | None,
) -> Task:
    """A task of a DAG in the WorkflowTemplate `here` that runs one command on the run `run`. options: as of `call`."""
    given = {"run": run, **(arguments or {})}
    wanted = {"run", *command.inputs}
    assert set(given) == wanted, f"{command.name} wants {sorted(wanted)}, was given {sorted(given)}"
    return call(here, command.home, command.name, arguments=given, **options)


def output_of(command: Stage, name: str) -> str:
    """Reference to an output parameter of a task in the same DAG."""
    assert name in dict(command.outputs), f"{command.name} has no output {name}"
    return "{{tasks." + command.name + ".outputs.parameters." + name + "}}"
