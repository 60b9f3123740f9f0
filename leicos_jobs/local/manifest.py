"""From rendered manifests to `model`: the subset of Argo that is implemented, and nothing else by accident."""

from __future__ import annotations

from typing import Any

from leicos_jobs.core.errors import InputError
from leicos_jobs.local import ignored
from leicos_jobs.local.model import Backoff, Container, Input, Output, Retry, Task, Template, Workflow
from leicos_jobs.local.reader import Reader, plain, seconds

OUTPUTS = "/tmp/outputs"
"""Where commands write output parameters. Each process gets a folder of its own in its place."""

API_VERSION = "argoproj.io/v1alpha1"
KINDS = ("Workflow", "WorkflowTemplate")
POLICIES = ("Always", "OnFailure", "OnError")


def parse(manifests: list[dict[str, Any]]) -> dict[str, Workflow]:
    """Read manifests that refer to each other; the result is by name."""
    found: dict[str, Workflow] = {}
    for index, manifest in enumerate(manifests):
        workflow = parse_workflow(manifest, index)
        if workflow.name in found:
            raise InputError(f"two manifests are named {workflow.name}", fix="give each its own name")
        found[workflow.name] = workflow
    return found


def parse_workflow(manifest: dict[str, Any], index: int) -> Workflow:
    """Read one manifest."""
    top = Reader(manifest, f"manifest {index}")
    version, kind = top.text("apiVersion"), top.text("kind")
    if version != API_VERSION or kind not in KINDS:
        raise InputError(
            f"{top.path}: {version} {kind} is neither a Workflow nor a WorkflowTemplate", fix=f"use {API_VERSION}"
        )
    metadata = Reader(top.take("metadata"), f"{top.path}.metadata")
    name = metadata.maybe("name") or str(metadata.take("generateName", "")).rstrip("-")
    if not name:
        raise InputError(f"{metadata.path}.name: is required", fix="name the manifest")
    metadata.done(ignored.METADATA)
    spec = Reader(top.take("spec"), f"{name}.spec")
    top.done()
    arguments = spec.reader("arguments")
    workflow = Workflow(
        name=name,
        entrypoint=spec.maybe("entrypoint"),
        on_exit=spec.maybe("onExit"),
        parameters=parse_values(arguments) if arguments else {},
        templates={template.name: template for template in map(_of(name), spec.readers("templates"))},
        parallelism=spec.integer("parallelism"),
        deadline=spec.number("activeDeadlineSeconds"),
    )
    spec.done(ignored.SPEC)
    return workflow


def _of(home: str) -> Any:
    return lambda reader: parse_template(home, reader)


def parse_values(arguments: Reader) -> dict[str, str | None]:
    """Read arguments.parameters: name -> value, None where a value must still be given."""
    found: dict[str, str | None] = {}
    for parameter in arguments.readers("parameters"):
        found[parameter.text("name")] = parameter.maybe("value")
        parameter.done(ignored.PARAMETER)
    arguments.done()
    return found


def parse_template(home: str, reader: Reader) -> Template:
    """Read one template."""
    name = reader.text("name")
    inputs, outputs, dag = reader.reader("inputs"), reader.reader("outputs"), reader.reader("dag")
    container, retry = reader.reader("container"), reader.reader("retryStrategy")
    if (dag is None) == (container is None):
        raise InputError(f"{reader.path}: is not exactly one of container and dag", fix="give it one of them")
    if dag is not None and (retry or outputs):
        raise InputError(
            f"{reader.path}.{'retryStrategy' if retry else 'outputs'}: is implemented for containers only",
            fix="set it on the templates that the tasks run",
        )
    if reader.flag("failFast", False):
        raise InputError(
            f"{reader.path}.failFast: with true a single failed attempt ends the DAG, whatever is retried",
            fix="use dag.failFast",
        )
    template = Template(
        home=home,
        name=name,
        inputs=parse_inputs(inputs) if inputs else (),
        outputs=parse_outputs(outputs) if outputs else (),
        container=parse_container(container) if container else None,
        tasks=tuple(parse_task(home, task) for task in dag.readers("tasks")) if dag else (),
        fail_fast=dag.flag("failFast", True) if dag else True,
        parallelism=reader.integer("parallelism"),
        deadline=reader.number("activeDeadlineSeconds"),
        retry=parse_retry(retry) if retry else None,
    )
    if dag is not None:
        dag.done()
    reader.done(ignored.TEMPLATE)
    return template


def parse_inputs(reader: Reader) -> tuple[Input, ...]:
    """Read inputs.parameters. A value on an input is a default, as in Argo."""
    found = []
    for parameter in reader.readers("parameters"):
        value, default = parameter.maybe("value"), parameter.maybe("default")
        found.append(Input(parameter.text("name"), default if value is None else value))
        parameter.done(ignored.PARAMETER)
    reader.done()
    return tuple(found)


def parse_outputs(reader: Reader) -> tuple[Output, ...]:
    """Read outputs.parameters; each must be a file below OUTPUTS."""
    found = []
    for parameter in reader.readers("parameters"):
        source = Reader(parameter.take("valueFrom", {}), f"{parameter.path}.valueFrom")
        path = source.text("path")
        if not path.startswith(f"{OUTPUTS}/"):
            raise InputError(
                f"{source.path}.path: {path} would be shared by all processes", fix=f"write below {OUTPUTS}/"
            )
        found.append(Output(parameter.text("name"), path, source.maybe("default")))
        source.done()
        parameter.done(ignored.PARAMETER)
    reader.done(ignored.OUTPUTS)
    return tuple(found)


def parse_container(reader: Reader) -> Container:
    """Read a container: command, arguments, environment."""
    command = reader.texts("command")
    if not command:
        raise InputError(f"{reader.path}.command: is required", fix="without it the image would decide what runs")
    environment = {}
    for variable in reader.readers("env"):
        name, value = variable.text("name"), variable.text("value", "")
        variable.done()
        if name not in ignored.ENVIRONMENT:
            environment[name] = value
    container = Container(command, reader.texts("args"), environment)
    reader.done(ignored.CONTAINER)
    return container


def parse_retry(reader: Reader) -> Retry:
    """Read a retryStrategy. Without a policy it is OnFailure, with an expression Always, as in Argo."""
    limit, expression, backoff = reader.integer("limit"), reader.maybe("expression"), reader.reader("backoff")
    policy = reader.text("retryPolicy", "Always" if expression else "OnFailure")
    if policy not in POLICIES:
        raise InputError(f"{reader.path}.retryPolicy: {policy} is not implemented", fix=f"use one of {POLICIES}")
    waits = None
    if backoff is not None:
        cap = backoff.maybe("cap")
        waits = Backoff(
            seconds(backoff.text("duration"), f"{backoff.path}.duration"),
            backoff.integer("factor"),
            None if cap is None else seconds(cap, f"{backoff.path}.cap"),
        )
        backoff.done()
    reader.done()
    return Retry(limit, policy, expression, waits)


def parse_task(home: str, reader: Reader) -> Task:
    """Read a task of a DAG."""
    reference, arguments = reader.reader("templateRef"), reader.reader("arguments")
    if reference is not None:
        home = reference.text("name")
        template = reference.text("template")
        reference.done()
    else:
        template = reader.text("template")
    items = reader.take("withItems")
    if items is not None:
        items = tuple(_item(item, f"{reader.path}.withItems") for item in items)
    values = parse_values(arguments) if arguments else {}
    for name, value in values.items():
        if value is None:
            raise InputError(f"{reader.path}.arguments.{name}: has no value", fix="give it one")
    task = Task(
        name=reader.text("name"),
        home=home,
        template=template,
        arguments={name: value for name, value in values.items() if value is not None},
        depends=reader.text("depends", ""),
        when=reader.text("when", ""),
        with_param=reader.maybe("withParam"),
        with_items=items,
    )
    reader.done()
    return task


def _item(value: Any, path: str) -> Any:
    plain(value, path)
    return value
