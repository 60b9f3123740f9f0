"""The part of Argo's Workflow that is implemented here, as rendered manifests have it, and nothing else by accident.

A field that is neither here nor in the closed list (`ignored`) is an error that names its path.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from leicos_jobs.local import ignored

OUTPUTS = "/tmp/outputs"
"""Where commands write output parameters. Each process gets a folder of its own in its place."""
DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def scalar(value: Any) -> str:
    """Text as Argo writes a scalar. Raises ValueError for a list or a mapping."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError(f"expected text, found {type(value).__name__}")


def _seconds(value: Any) -> float:
    """A duration: a number of seconds, or e.g. 10s, 5m, 1h30m."""
    text = scalar(value)
    if text.isdigit():
        return float(text)
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("is not a duration: write it like 10s, 5m or 1h30m")
    hours, minutes, whole, milli = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + whole + milli / 1000


def _below_outputs(path: str) -> str:
    if not path.startswith(f"{OUTPUTS}/"):
        raise ValueError(f"{path} would be shared by all processes: write below {OUTPUTS}/")
    return path


Text = Annotated[str, BeforeValidator(scalar)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Duration = Annotated[float, BeforeValidator(_seconds)]


P = TypeVar("P")
LENIENT = "lenient"
"""As the context of a validation: fields that are not known here are left out."""


class Part(BaseModel):
    """A mapping of the manifest, with Argo's names of the fields. null is as good as nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)

    skipped: ClassVar[frozenset[str]] = frozenset()
    """Fields that mean nothing here."""

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        known = {field.alias for field in cls.model_fields.values()}
        skipped = value.keys() - known if info.context == LENIENT else cls.skipped
        return {key: item for key, item in value.items() if item is not None and key not in skipped}


class Placed(Part):
    """A part that a manifest defines."""

    _home: str = PrivateAttr("")

    @property
    def home(self) -> str:
        """The manifest that defines it."""
        return self._home


class Parameter(Part):
    """A parameter and its value; None where it must still be given."""

    skipped = ignored.PARAMETER

    name: Text
    value: Text | None = None


class Input(Parameter):
    """An input parameter. A value on an input is a default, as in Argo."""

    given: Text | None = Field(None, alias="default")

    @property
    def default(self) -> str | None:
        """What stands for an argument that is not given."""
        return self.given if self.value is None else self.value


class File(Part):
    """The file that an output is read from, and what stands for a file or a task that is not there."""

    path: Annotated[Text, AfterValidator(_below_outputs)]
    default: Text | None = None


class Output(Part):
    """An output parameter."""

    skipped = ignored.PARAMETER

    name: Text
    file: File = Field(alias="valueFrom")


class Parameters(Part, Generic[P]):
    """What stands under arguments, inputs and outputs."""

    parameters: tuple[P, ...] = ()


class Outputs(Parameters[Output]):
    """What a template gives."""

    skipped = ignored.OUTPUTS


class Backoff(Part):
    """Seconds to wait before a retry: duration x factor^(retry - 1), at most cap."""

    duration: Duration
    factor: Count | None = None
    cap: Duration | None = None

    def wait(self, failures: int) -> float:
        """Seconds between the end of an attempt and the next, after this many failed attempts."""
        seconds = self.duration * float(self.factor) ** (failures - 1) if self.factor else self.duration
        return seconds if self.cap is None else min(seconds, self.cap)


class Retry(Part):
    """retryStrategy. `limit` None means without limit."""

    limit: Count | None = None
    expression: Text | None = None
    backoff: Backoff | None = None
    given: Literal["Always", "OnFailure", "OnError"] | None = Field(None, alias="retryPolicy")

    @property
    def policy(self) -> str:
        """Which ends are retried. Without a policy it is OnFailure, with an expression Always, as in Argo."""
        return self.given or ("Always" if self.expression else "OnFailure")


class Reference(Part):
    """templateRef: a template of another manifest."""

    name: Text
    template: Text


class Task(Placed):
    """A task of a DAG."""

    name: Text
    local: Text | None = Field(None, alias="template")
    reference: Reference | None = Field(None, alias="templateRef")
    given: Parameters[Parameter] = Field(Parameters[Parameter](), alias="arguments")
    depends: Text = ""
    when: Text = ""
    with_param: Text | None = None
    with_items: tuple[Any, ...] | None = None

    @field_validator("given")
    @classmethod
    def _valued(cls, given: Parameters[Parameter]) -> Parameters[Parameter]:
        if missing := [parameter.name for parameter in given.parameters if parameter.value is None]:
            raise ValueError(f"{missing[0]} has no value")
        return given

    @field_validator("with_items")
    @classmethod
    def _scalars(cls, items: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        for item in items or ():
            scalar(item)
        return items

    @model_validator(mode="after")
    def _calls(self) -> Self:
        if (self.local is None) == (self.reference is None):
            raise ValueError("is not exactly one of template and templateRef")
        return self

    @property
    def target(self) -> tuple[str, str]:
        """Manifest and template that it runs."""
        return (self.reference.name, self.reference.template) if self.reference else (self.home, self.local or "")

    @cached_property
    def arguments(self) -> dict[str, str]:
        """Arguments by name."""
        return {parameter.name: parameter.value or "" for parameter in self.given.parameters}

    @property
    def loops(self) -> bool:
        """Whether the task is expanded into one for each item."""
        return self.with_param is not None or self.with_items is not None


class Dag(Part):
    """A DAG of tasks."""

    tasks: tuple[Task, ...] = ()
    fail_fast: StrictBool = True


class Container(Part):
    """What a pod runs. Without a command the image would decide."""

    skipped = ignored.CONTAINER

    command: tuple[Text, ...] = Field(min_length=1)
    args: tuple[Text, ...] = ()
    env: tuple[Parameter, ...] = ()

    @cached_property
    def environment(self) -> dict[str, str]:
        """Its variables, but for those that only a pod has."""
        return {one.name: one.value or "" for one in self.env if one.name not in ignored.ENVIRONMENT}


class Template(Placed):
    """A template: a container, or a DAG of tasks."""

    skipped = ignored.TEMPLATE

    name: Text
    inputs: Parameters[Input] = Parameters[Input]()
    dag: Dag | None = None
    container: Container | None = None
    outputs: Outputs = Outputs()
    parallelism: Count | None = None
    deadline: Seconds | None = Field(None, alias="activeDeadlineSeconds")
    retry: Retry | None = Field(None, alias="retryStrategy")
    fail_fast: StrictBool = False

    @field_validator("outputs", "retry")
    @classmethod
    def _of_a_container(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("dag") is not None:
            raise ValueError("is implemented for containers only: set it on the templates that the tasks run")
        return value

    @field_validator("fail_fast")
    @classmethod
    def _never(cls, fast: bool) -> bool:
        if fast:
            raise ValueError("with true a single failed attempt ends it, whatever is retried: use dag.failFast")
        return fast

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.dag is None) == (self.container is None):
            raise ValueError("is not exactly one of container and dag")
        return self

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its tasks, if it is a DAG."""
        return self.dag.tasks if self.dag else ()

    @cached_property
    def by_name(self) -> dict[str, Task]:
        """Its tasks by name."""
        return {task.name: task for task in self.tasks}

    @cached_property
    def defaults(self) -> dict[str, str | None]:
        """Its inputs, with what stands for an argument that is not given."""
        return {parameter.name: parameter.default for parameter in self.inputs.parameters}


class Spec(Part):
    """What a workflow does."""

    skipped = ignored.SPEC

    entrypoint: Text | None = None
    on_exit: Text | None = None
    arguments: Parameters[Parameter] = Parameters[Parameter]()
    templates: tuple[Template, ...] = ()
    parallelism: Count | None = None
    deadline: Seconds | None = Field(None, alias="activeDeadlineSeconds")


class Metadata(Part):
    """A manifest's name."""

    skipped = ignored.METADATA

    name: Text = ""
    generate_name: Text = ""


class Workflow(Part):
    """A Workflow or WorkflowTemplate."""

    api_version: Literal["argoproj.io/v1alpha1"]
    kind: Literal["Workflow", "WorkflowTemplate"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        """Of the manifest."""
        return self.metadata.name or self.metadata.generate_name.rstrip("-")

    @cached_property
    def parameters(self) -> dict[str, str | None]:
        """Its parameters; one without a value is None and must be given."""
        return {parameter.name: parameter.value for parameter in self.spec.arguments.parameters}

    @cached_property
    def templates(self) -> dict[str, Template]:
        """Its templates by name."""
        for template in self.spec.templates:
            for part in (template, *template.tasks):
                part._home = self.name
        return {template.name: template for template in self.spec.templates}
