"""The rendered WorkflowTemplates: golden, strict, and what a cluster needs from each pod."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from hera_workflows import render, schema
from hera_workflows.commands import template
from hera_workflows.images import Images
from hera_workflows.lint import check
from hera_workflows.policies import RETRY_EXPRESSION
from leicos_jobs.core.errors import ExitCode
from leicos_jobs.core.stages import GENERATE

MANIFESTS = render.manifests()


def containers() -> list[Any]:
    return [
        pytest.param(found, id=f"{manifest['metadata']['name']}.{found['name']}")
        for manifest in MANIFESTS
        for found in manifest["spec"]["templates"]
        if "container" in found
    ]


def test_the_files_are_what_is_rendered() -> None:
    assert render.differences() == []
    assert render.main(["--check"]) == 0


def test_both_homes_hold_the_same_bytes() -> None:
    shipped, chart = ({path.name: path.read_bytes() for path in home.glob("*.yaml")} for home in render.HOMES)

    assert shipped == chart
    assert len(shipped) == 6


def test_rendering_twice_gives_the_same_bytes_in_another_process() -> None:
    command = "from hera_workflows.render import rendered; import sys; sys.stdout.write(''.join(rendered().values()))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)

    assert again.stdout == "".join(render.rendered().values())


def test_check_names_what_differs_and_write_mends_it(tmp_path: Path) -> None:
    home = (tmp_path / "files",)
    assert len(render.differences(home)) == 6
    render.write(home)
    assert render.differences(home) == []
    (home[0] / "leicos-train.yaml").write_text("changed")
    (home[0] / "leicos-old.yaml").write_text("stale")
    assert [line.rpartition("/")[2].split(":")[0] for line in render.differences(home)] == [
        "leicos-old.yaml",
        "leicos-train.yaml",
    ]
    render.write(home)
    assert render.differences(home) == []


def test_the_lint_finds_nothing() -> None:
    assert check(MANIFESTS) == []


def test_argos_own_schema_admits_them_strictly() -> None:
    directory = schema.crds()
    if directory is None:
        warnings.warn("NOT VALIDATED against Argo's CRDs: set LEICOS_ARGO_BIN to a folder with crds/full", stacklevel=1)
        pytest.skip("no Argo CRDs on this machine: set LEICOS_ARGO_BIN")
    assert [line for manifest in MANIFESTS for line in schema.violations(manifest, directory)] == []


def test_argo_lints_them() -> None:
    directory = schema.crds()
    argo = shutil.which("argo") or (str(directory.parents[1] / "argo") if directory else "")
    if not Path(argo).is_file():
        warnings.warn("NOT LINTED by argo: set LEICOS_ARGO_BIN to a folder with the argo program", stacklevel=1)
        pytest.skip("no argo on this machine: set LEICOS_ARGO_BIN")
    done = subprocess.run([argo, "lint", "--offline", render.HOMES[0]], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_workflow_template_has_few_parameters_with_descriptions() -> None:
    wanted = {
        "leicos-pipeline": ["run", "config", "max-rounds", "max-workers"],
        "leicos-prepare": ["run", "config"],
        "leicos-train": ["run", "config"],
        "leicos-generate": ["run", "max-rounds", "max-workers"],
        "leicos-replay": ["run", "max-workers"],
        "leicos-report": ["run"],
    }
    found = {manifest["metadata"]["name"]: manifest["spec"]["arguments"]["parameters"] for manifest in MANIFESTS}

    assert {name: [each["name"] for each in parameters] for name, parameters in found.items()} == wanted
    for parameters in found.values():
        assert all(each["description"] for each in parameters)
        assert {each["name"] for each in parameters if "value" not in each} == {"run"}


@pytest.mark.parametrize("found", containers())
def test_a_pod_is_retried_by_the_exit_codes_of_the_one_enum(found: dict[str, Any]) -> None:
    expression = found["retryStrategy"]["expression"]
    again, never = re.findall(r"asInt\(lastRetry\.exitCode\) in \[([\d,]+)\]", expression)
    codes = {int(code) for code in again.split(",")}

    assert expression == RETRY_EXPRESSION
    assert codes == {ExitCode.RETRY, 137, 143}
    assert {int(code) for code in never.split(",")} == {ExitCode.DEFECT, ExitCode.INPUT}
    assert found["retryStrategy"]["retryPolicy"] == "Always"


@pytest.mark.parametrize("found", containers())
def test_a_pod_runs_leicos_and_can_write_to_tmp_only(found: dict[str, Any]) -> None:
    container = found["container"]

    assert container["command"] == ["leicos"]
    assert container["args"][:1] == [found["name"]]
    assert "--run" in container["args"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    assert {"name": "LEICOS_ATTEMPT", "value": "{{retries}}"} in container["env"]
    volumes = {volume["name"]: volume for volume in found["volumes"]}
    mounted = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert "emptyDir" in mounted["/tmp"]


def test_workers_put_nothing_into_the_workflow_object() -> None:
    templates = {found["name"]: found for manifest in MANIFESTS for found in manifest["spec"]["templates"]}

    for name in ("generate", "gate", "label", "replay"):
        assert "outputs" not in templates[name]


def test_images_are_chosen_when_rendering() -> None:
    container = template(GENERATE, Images(repository="registry.example/x", tag="7", pull_policy="Never"))

    assert (container.image, container.image_pull_policy) == ("registry.example/x/cosmos:7", "Never")


def test_the_configuration_can_be_a_config_map() -> None:
    (start,) = [found for manifest in MANIFESTS for found in manifest["spec"]["templates"] if found["name"] == "start"]
    (volume,) = [volume for volume in start["volumes"] if volume["name"] == "config"]
    (pattern,) = re.findall(r"matches '(.*?)'", volume["configMap"]["name"])

    assert volume["configMap"]["optional"] is True
    assert re.search(pattern, "my-config.v2")
    for other in ("", "s3://bucket/run.yaml", "source: demo.hdf5\nseed: 1\n", "{seed: 1}", "Name"):
        assert not re.search(pattern, other), other


def test_the_text_is_yaml_that_reads_back_as_rendered() -> None:
    for manifest, text in zip(MANIFESTS, render.rendered().values(), strict=True):
        assert yaml.safe_load(text) == manifest
        assert text.startswith("# Written by")
