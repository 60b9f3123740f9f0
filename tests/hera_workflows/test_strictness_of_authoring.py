"""What Hera would drop silently is refused, and what Argo does not know is found."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hera.workflows import Container, models

import hera_workflows
from hera_workflows import schema
from hera_workflows.lint import check_size
from hera_workflows.strict import exactly
from leicos_jobs.core.errors import DefectError
from leicos_jobs.core.workflow_size import LIMIT, most_workers, object_bytes

CRD = """
spec:
  versions:
  - schema:
      openAPIV3Schema:
        type: object
        properties:
          kind: {type: string}
          metadata: {type: object}
          spec:
            type: object
            required: [entrypoint]
            properties:
              entrypoint: {type: string, enum: [main, other]}
              parallelism: {type: integer}
              suspend: {type: boolean}
              limit: {x-kubernetes-int-or-string: true}
              labels: {type: object, additionalProperties: {type: string}}
              anything: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
              templates: {type: array, items: {type: object, properties: {name: {type: string}}}}
"""


def test_hera_itself_would_say_nothing() -> None:
    assert "limitt" not in str(models.RetryStrategy(limitt="3"))  # type: ignore[call-arg]


def test_an_unknown_field_of_a_model_is_refused() -> None:
    with pytest.raises(DefectError, match="RetryStrategy has no field limitt"):
        exactly(models.RetryStrategy, limitt="3")
    with pytest.raises(TypeError, match="commandd"):
        Container(name="x", image="y", commandd=["z"])  # type: ignore[call-arg]


def test_every_generated_model_is_built_through_exactly() -> None:
    """Directly built models are allowed only without fields."""
    for path in Path(hera_workflows.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "models":
                assert isinstance(node, ast.Call)
                assert not node.keywords, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"entrypoint": "main", "parallelism": 3, "limit": "3", "labels": {"a": "b"}, "suspend": True}, None),
        ({"entrypoint": "main", "limit": 3, "anything": {"b": 1}, "templates": [{"name": "x"}]}, None),
        ({}, r"spec\.entrypoint: is required"),
        ({"entrypoint": "elsewhere"}, r"spec\.entrypoint: 'elsewhere' is not one of"),
        (
            {"entrypoint": "main", "paralelism": 3},
            r"spec\.paralelism: Argo has no such field; did you mean parallelism",
        ),
        ({"entrypoint": "main", "parallelism": "3"}, r"spec\.parallelism: '3' is not of type integer"),
        ({"entrypoint": "main", "parallelism": True}, r"spec\.parallelism: True is not of type integer"),
        ({"entrypoint": "main", "limit": 1.5}, r"spec\.limit: 1\.5 is neither"),
        ({"entrypoint": "main", "labels": {"a": 1}}, r"spec\.labels\.a: 1 is not of type string"),
        ({"entrypoint": "main", "templates": [{"nam": "x"}]}, r"spec\.templates\[0\]\.nam: Argo has no such field"),
    ],
)
def test_a_schema_is_applied_strictly(spec: dict[str, object], said: str | None, tmp_path: Path) -> None:
    (tmp_path / "argoproj.io_workflowtemplates.yaml").write_text(CRD)
    manifest = {"kind": "WorkflowTemplate", "metadata": {"name": "m"}, "spec": spec}

    lines = schema.violations(manifest, tmp_path)

    if said is None:
        assert lines == []
    else:
        assert len(lines) == 1
        assert re.match(f"m: {said}", lines[0])


def test_argo_itself_is_looked_for_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEICOS_ARGO_BIN", str(tmp_path))

    assert schema.crds() is None


def test_a_plan_that_would_not_fit_is_refused_with_the_number_that_would() -> None:
    assert check_size(200, 3) == []
    (problem,) = check_size(100_000, 3)
    assert str(most_workers(3)) in problem.fix
    assert object_bytes(most_workers(3), 3) <= LIMIT < object_bytes(most_workers(3) + 1, 3)
    assert most_workers(1) > most_workers(3) > 200
