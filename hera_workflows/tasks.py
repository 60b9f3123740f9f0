"""Tasks of a DAG, and where the template of each command is defined.

Each command's template is defined once, in the WorkflowTemplate that it belongs to. Every other one refers to it.
"""

from __future__ import annotations

from hera.workflows import Task, models

from hera_workflows.parameters import RUN_OF_WORKFLOW
from hera_workflows.strict import exactly
from leicos_jobs.core.stages import Stage

PIPELINE = "leicos-pipeline"


def call(
    here: str,
    home: str,
    template: str,
    *,
    arguments: dict[str, str],
    name: str | None = None,
    depends: str | None = None,
    when: str | None = None,
    with_param: str | None = None,
) -> Task:
    """A task in a DAG of `here` that runs a template of `home`, by name if those are the same, else by templateRef."""
    return Task(
        name=name or template,
        template=template if here == home else None,
        template_ref=None if here == home else exactly(models.TemplateRef, name=home, template=template),
        arguments=arguments,
        depends=depends,
        when=when,
        with_param=with_param,
    )


def task(
    here: str,
    command: Stage,
    *,
    depends: str | None = None,
    when: str | None = None,
    arguments: dict[str, str] | None = None,
    with_param: str | None = None,
    run: str = RUN_OF_WORKFLOW,
) -> Task:
    """A task of a DAG in the WorkflowTemplate `here` that runs one command on the run `run`."""
    given = {"run": run, **(arguments or {})}
    wanted = {"run", *command.inputs}
    assert set(given) == wanted, f"{command.name} wants {sorted(wanted)}, was given {sorted(given)}"
    return call(here, command.home, command.name, arguments=given, depends=depends, when=when, with_param=with_param)


def output_of(command: Stage, name: str) -> str:
    """Reference to an output parameter of a task in the same DAG."""
    assert name in dict(command.outputs), f"{command.name} has no output {name}"
    return "{{tasks." + command.name + ".outputs.parameters." + name + "}}"
