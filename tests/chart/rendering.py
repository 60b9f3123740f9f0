"""Renders the chart with Helm's own engine: PyPI's helm-python-sdk, so that no helm binary is needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "leicos"
VALUES_FILES = sorted(path.stem.removesuffix("-values") for path in (CHART / "ci").glob("*-values.yaml"))
NAMESPACE = "leicos"
Objects = list[dict[str, Any]]


def helm() -> Any:
    """The SDK; without it the chart is not tested, and the reason says so."""
    return pytest.importorskip("helm_python", reason="THE CHART WAS NOT TESTED: pip install helm-python-sdk")


def values_of(name: str) -> dict[str, Any]:
    """Values of ci/NAME-values.yaml; `defaults` is not a file: no values are given."""
    if name == "defaults":
        return {}
    found = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())
    assert isinstance(found, dict)
    return found


def render(values: dict[str, Any]) -> Objects:
    """All objects of a release. Raises the SDK's HelmError where Helm would refuse."""
    with helm().Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="leicos", namespace=NAMESPACE)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [
        found
        for name, text in texts.items()
        if not name.endswith("NOTES.txt")
        for found in yaml.load_all(text, Loader=loader)
        if found
    ]


@cache
def rendered(name: str) -> Objects:
    """The chart with one of the ci files, rendered once. Nobody may change what it returns."""
    return render(values_of(name))


def workflow_templates(objects: Objects) -> dict[str, dict[str, Any]]:
    """The WorkflowTemplates by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == "WorkflowTemplate"}


def containers(objects: Objects) -> dict[str, dict[str, Any]]:
    """Argo's container templates by name (each command once; `finish` is the same everywhere)."""
    return {
        template["name"]: template
        for found in workflow_templates(objects).values()
        for template in found["spec"]["templates"]
        if "container" in template
    }


def of_kind(objects: Objects, kind: str) -> dict[str, dict[str, Any]]:
    """Objects of one kind by name."""
    return {found["metadata"]["name"]: found for found in objects if found["kind"] == kind}


def hera() -> dict[str, dict[str, Any]]:
    """What Hera rendered: the files that the chart reads."""
    found = [yaml.safe_load(path.read_text()) for path in sorted((CHART / "files").glob("leicos-*.yaml"))]
    return {manifest["metadata"]["name"]: manifest for manifest in found}
