"""Runs with no more S3 rights than the chart's README asks for, and what an operator is told when one fails."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import installation
from .harness import Cluster
from .harness.object_store import LIMITED
from .installation import Bucket, leicos, nodes, submit, succeeded
from .test_pipeline import configuration

pytestmark = pytest.mark.cluster

NAMESPACE = "leicos-limited"
UNFIT = ("/tmp/x", "s3://leicos/limited/../x", "s3://leicos/limited/it's")
"""Runs that pods cannot use."""


@pytest.fixture(scope="module")
def place(cluster: Cluster, jobs_image: str) -> Cluster:
    """The chart with credentials for one prefix of the bucket."""
    store = cluster.store
    if not store.limited_access_key:
        pytest.skip("NOT TESTED: set LEICOS_TEST_S3_LIMITED_ACCESS_KEY and LEICOS_TEST_S3_LIMITED_SECRET_KEY")
    keys = {"AWS_ACCESS_KEY_ID": store.limited_access_key, "AWS_SECRET_ACCESS_KEY": store.limited_secret_key}
    return installation.install(cluster, NAMESPACE, jobs_image, keys=keys)


@pytest.fixture(scope="module")
def prefix() -> str:
    return f"{LIMITED}/{uuid.uuid4().hex[:8]}"


def ended(place: Cluster, name: str) -> tuple[str, str]:
    """Phase of a workflow after its end, and what its exit handler said."""
    workflow = place.wait_for_workflow(name, installation.PATIENCE)
    handler = nodes(workflow, "Pod", "finish")[0]
    return workflow["status"]["phase"], place.argo("logs", name, pod_name(name, handler), "--no-color")


def pod_name(workflow: str, node: dict[str, Any]) -> str:
    return f"{workflow}-finish-{node['id'].rpartition('-')[2]}"


def test_rights_for_the_runs_prefix_suffice_and_the_reports_copy_lies_in_the_run(
    place: Cluster, bucket: Bucket, prefix: str, tmp_path: Path
) -> None:
    recording = tmp_path / "demos.hdf5"
    leicos("record", str(recording), "--episodes", "6", "--seed", "1", "--width", "128", "--height", "96")
    config = configuration(bucket.upload(recording, f"{prefix}/demos.hdf5"))
    config["plan"] = {"samples": 2, "workers": 1}
    text = yaml.safe_dump(config)
    before = bucket.objects("argo").keys()

    name = submit(place, "leicos-pipeline", run=bucket.uri(f"{prefix}/run"), config=text)
    workflow = succeeded(place, name)

    report = nodes(workflow, "Pod", "report")[0]
    keys = {item["s3"]["key"] for item in report["outputs"]["artifacts"] if "s3" in item}
    assert keys == {f"{prefix}/run/argo/report/"}
    shown, own = bucket.objects(f"{prefix}/run/argo/report"), bucket.objects(f"{prefix}/run/report")
    assert {key.rpartition("/")[2] for key in own} == shown.keys()
    assert bucket.objects("argo").keys() == before
    assert not bucket.objects(name)


@pytest.fixture(scope="module")
def refused(place: Cluster, bucket: Bucket, prefix: str) -> dict[str, str]:
    """Run -> a workflow that cannot begin; all are submitted at once."""
    given = {bucket.uri(f"{prefix}/wrong"): "{sauce: {files: [a]}}"}
    given |= dict.fromkeys(UNFIT, "{source: {files: [a], task: t}}")
    return {run: submit(place, "leicos-pipeline", run=run, config=config) for run, config in given.items()}


def test_a_wrong_configuration_is_told_by_the_node_and_by_the_exit_handler(
    place: Cluster, bucket: Bucket, prefix: str, refused: dict[str, str]
) -> None:
    name = refused[bucket.uri(f"{prefix}/wrong")]
    phase, said = ended(place, name)

    (start,) = nodes(place.workflow(name), "Pod", "start")
    assert phase == "Failed"
    assert start["message"].startswith("main: Error (exit code 78): ")
    assert "sauce" in start["message"]
    assert "failed: start: main: Error (exit code 78)" in said
    assert "is not a run" not in said.partition("leicos run: Failed")[2]


@pytest.mark.parametrize("run", UNFIT)
def test_the_first_pod_refuses_a_run_that_pods_cannot_use(place: Cluster, run: str, refused: dict[str, str]) -> None:
    workflow = place.wait_for_workflow(refused[run], installation.PATIENCE)

    (start,) = nodes(workflow, "Pod", "start")
    assert start["message"].startswith("main: Error (exit code 78): ")
    assert json.dumps(run)[1:-1] in start["message"].replace("\\'", "'")
