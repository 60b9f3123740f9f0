"""What the chart renders is valid: Helm's lint, the schemas of Kubernetes and of Argo, and leicos' own lint."""

from __future__ import annotations

from typing import Any

import pytest
from chart.rendering import CHART, VALUES_FILES, helm, rendered, values_of, workflow_templates

from hera_workflows import lint, schema

FILES = ["defaults", *VALUES_FILES]
KUBERNETES = ("1.29", "1.34")


def test_the_promised_values_files_are_there() -> None:
    assert {"minimal", "everything", "gke-spot", "eks-karpenter"} <= set(VALUES_FILES)


@pytest.mark.parametrize("name", FILES)
def test_helm_lint_strict_reports_nothing(name: str) -> None:
    report = helm().lint(str(CHART), values_of(name), strict=True, namespace="leicos")
    assert (report["messages"], report["errors"]) == ([], [])


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", FILES)
def test_core_objects_fit_the_schema_of_kubernetes(name: str, version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    core = [found for found in rendered(name) if not found["apiVersion"].startswith("argoproj.io/")]
    assert core
    for found in core:
        kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("name", FILES)
def test_workflow_templates_fit_argos_own_definitions(name: str) -> None:
    definitions = schema.crds()
    if definitions is None:
        pytest.skip("ARGO'S FIELDS WERE NOT CHECKED: put Argo's crds/full into the folder named by LEICOS_ARGO_BIN")
    for found in workflow_templates(rendered(name)).values():
        assert schema.violations(found, definitions) == []


@pytest.mark.parametrize("name", FILES)
def test_the_lint_of_the_workflows_finds_nothing_in_the_overlaid_ones(name: str) -> None:
    found = workflow_templates(rendered(name))
    assert lint.check(list(found.values())) == []


@pytest.mark.parametrize("name", FILES)
def test_names_are_unique_and_all_in_the_releases_namespace(name: str) -> None:
    objects = rendered(name)
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    assert {found["metadata"].get("namespace", "leicos") for found in objects} == {"leicos"}


@pytest.mark.parametrize("name", FILES)
def test_every_pod_meets_pod_security_restricted_and_writes_to_tmp_only(name: str) -> None:
    for template in _pods(name):
        pod, container = template["securityContext"], template["container"]
        assert pod["runAsNonRoot"] is True
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        volumes = {volume["name"]: volume for volume in template["volumes"]}
        for mount in container["volumeMounts"]:
            assert mount["name"] in volumes
            assert "hostPath" not in volumes[mount["name"]]


def _pods(name: str) -> list[dict[str, Any]]:
    """Workflow templates and jobs in one form."""
    found = []
    for template in workflow_templates(rendered(name)).values():
        found += [each for each in template["spec"]["templates"] if "container" in each]
    for job in rendered(name):
        if job["kind"] == "Job":
            spec = job["spec"]["template"]["spec"]
            found += [{**spec, "container": container} for container in spec["containers"]]
    return found
