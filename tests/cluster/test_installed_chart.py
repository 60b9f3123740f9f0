"""The chart as it is installed: Helm and Argo find no fault with it, here and on the server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import installation
from .harness import Cluster
from .harness.parts import helm
from .harness.places import KUBERNETES
from .harness.processes import run
from .installation import CHART, TEMPLATES

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def templates(installed: Cluster) -> list[dict[str, Any]]:
    """The WorkflowTemplates as the server has them, without what it added."""
    found = json.loads(installed.kubectl("get", "workflowtemplates", "-o", "json"))["items"]
    for each in found:
        kept = ("name", "namespace", "labels", "annotations")
        each["metadata"] = {name: value for name, value in each["metadata"].items() if name in kept}
    return [each for each in found if each["metadata"]["name"] in TEMPLATES]


@pytest.fixture(scope="module")
def files(templates: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same as files."""
    folder = tmp_path_factory.mktemp("installed")
    found = []
    for each in templates:
        found.append(folder / f"{each['metadata']['name']}.yaml")
        found[-1].write_text(yaml.safe_dump(each))
    return found


def test_all_six_are_installed(templates: list[dict[str, Any]]) -> None:
    assert sorted(each["metadata"]["name"] for each in templates) == list(TEMPLATES)


def test_argo_lint_offline_reports_nothing(installed: Cluster, files: list[Path]) -> None:
    said = installed.argo("lint", "--no-color", "--offline", "--kinds=workflowtemplates", *files)

    assert said.strip() == "✔ no linting errors found!"


def test_argo_lint_against_the_server_reports_nothing(installed: Cluster, files: list[Path]) -> None:
    said = installed.argo("lint", "--no-color", "--kinds=workflowtemplates", *files)

    assert said.strip() == "✔ no linting errors found!"


@pytest.mark.parametrize("values", sorted((CHART / "ci").glob("*-values.yaml")), ids=lambda path: path.stem)
def test_argo_lint_offline_with_every_values_file_reports_nothing(
    installed: Cluster, values: Path, tmp_path: Path
) -> None:
    where = ("--namespace", "leicos", "--kube-version", KUBERNETES)
    said = run(helm(), "template", "leicos", CHART, *where, "--values", values)
    found = [each for each in yaml.safe_load_all(said) if each and each["kind"] == "WorkflowTemplate"]
    assert sorted(each["metadata"]["name"] for each in found) == list(TEMPLATES)
    # as JSON: PyYAML leaves the text Y bare, which Go's YAML reads as true
    (tmp_path / "templates.yaml").write_text("\n---\n".join(map(json.dumps, found)))

    said = installed.argo("lint", "--no-color", "--offline", "--kinds=workflowtemplates", tmp_path / "templates.yaml")

    assert said.strip() == "✔ no linting errors found!"


def test_helm_lint_strict_reports_nothing(cluster: Cluster) -> None:
    given = installation.values(cluster, installation.JOBS_IMAGE, {})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml.safe_dump(given))
        file.flush()
        said = run(helm(), "lint", "--strict", CHART, "--namespace", "leicos", "--values", file.name)
    assert "0 chart(s) failed" in said
    assert "[" not in said, said  # [INFO], [WARNING], [ERROR]


def test_installing_again_changes_nothing(installed: Cluster, cluster: Cluster, jobs_image: str) -> None:
    def versions() -> dict[str, str]:
        found = json.loads(installed.kubectl("get", "workflowtemplates,configmaps,serviceaccounts,roles", "-o", "json"))
        return {
            f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in found["items"]
        }

    before = versions()
    installation.install(cluster, installed.namespace, jobs_image)

    assert versions() == before


def test_the_account_of_the_pods_may_report_results_and_nothing_else(installed: Cluster) -> None:
    who = f"system:serviceaccount:{installed.namespace}:leicos-workflow"

    def allowed(verb: str, resource: str) -> bool:
        group = "argoproj.io" if resource.startswith("workflow") else ""
        attributes = {"namespace": installed.namespace, "verb": verb, "resource": resource, "group": group}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": who, "resourceAttributes": attributes},
        }
        return bool(installed.create(review)["status"]["allowed"])

    assert allowed("create", "workflowtaskresults")
    assert allowed("patch", "workflowtaskresults")
    refused = [("get", "workflowtaskresults"), ("get", "secrets"), ("create", "pods"), ("patch", "workflows")]
    assert not [each for each in refused if allowed(*each)]
