"""Submit and resubmit: a real S3 server, and a stand-in for the two calls of Kubernetes' API that they make."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from cluster_cli.handmade import HandMade
from helpers.lerobot import DatasetSpec, write_dataset
from helpers.s3 import S3Server
from kubernetes.client import ApiException
from urllib3.exceptions import MaxRetryError

from leicos_jobs.backends import registry
from leicos_jobs.cluster import upload
from leicos_jobs.cluster.submit import resubmit, submit
from leicos_jobs.cluster.workflows import Workflows
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.run import episodes
from leicos_jobs.run.opened import open_run
from leicos_jobs.stages.convert import convert
from leicos_jobs.store import open_store
from leicos_jobs.store.s3 import S3Store, parts
from leicos_jobs.work.sources import fetch_source

PARAMETERS = {
    "leicos-pipeline": ["run", "config", "max-rounds", "max-workers"],
    "leicos-replay": ["run", "max-workers"],
}


class FakeApi:
    """What a cluster with leicos' WorkflowTemplates answers."""

    def __init__(self) -> None:
        self.workflows: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def get_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str, name: str) -> Any:
        assert (group, version, plural) == ("argoproj.io", "v1alpha1", "workflowtemplates")
        if self.error:
            raise self.error
        if namespace != "leicos" or name not in PARAMETERS:
            raise ApiException(status=404, reason="Not Found")
        return {"spec": {"arguments": {"parameters": [{"name": each} for each in PARAMETERS[name]]}}}

    def create_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, body: dict[str, Any]
    ) -> Any:
        assert (group, version, namespace, plural) == ("argoproj.io", "v1alpha1", "leicos", "workflows")
        name = f"{body['metadata']['generateName']}{len(self.workflows)}"
        self.workflows.append({**body, "metadata": {**body["metadata"], "name": name}})
        return self.workflows[-1]

    def list_namespaced_custom_object(self, group: str, version: str, namespace: str, plural: str) -> Any:
        return {"items": self.workflows}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def cluster(api: FakeApi) -> Workflows:
    return Workflows(api, "leicos")


@pytest.fixture
def uri(s3_environment: S3Server) -> str:
    return f"s3://{s3_environment.bucket}/runs/{uuid.uuid4().hex}"


def cut_off(store: S3Store, key: str, path: Path) -> None:
    raise RetryError("the line is cut")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "my demos.hdf5").write_bytes(b"hdf5")
    path = tmp_path / "lift.yaml"
    path.write_text("source: {files: ['my demos.hdf5'], task: Lift the red cube up.}\n")
    return path


def test_a_local_recording_goes_into_the_run_and_the_workflow_is_created(
    uri: str, config: Path, cluster: Workflows, api: FakeApi, tmp_path: Path
) -> None:
    found = submit(uri, str(config), cluster=cluster, parameters={"max-rounds": "5"})
    run = open_run(uri)
    assert run.config.source.files == ("run:source/my-demos.hdf5",)
    assert fetch_source(run.config.source.files[0], run, tmp_path / "pod").read_bytes() == b"hdf5"
    (workflow,) = api.workflows
    assert workflow["metadata"]["generateName"] == "leicos-pipeline-"
    assert workflow["spec"] == {
        "workflowTemplateRef": {"name": "leicos-pipeline"},
        "arguments": {"parameters": [{"name": "run", "value": uri}, {"name": "max-rounds", "value": "5"}]},
    }
    assert found.workflow == "leicos-pipeline-0"
    assert found.argo() == (
        f"argo submit -n leicos --from workflowtemplate/leicos-pipeline -p run={uri} -p max-rounds=5"
    )
    assert found.argo() in found.text()


def test_submitting_again_sends_nothing_twice_and_says_who_is_at_work(
    uri: str, config: Path, cluster: Workflows, api: FakeApi
) -> None:
    submit(uri, str(config), cluster=cluster)
    second = submit(uri, str(config), cluster=cluster)
    assert any("already at" in note for note in second.notes)
    assert any("leicos-pipeline-0 works on the same run" in note for note in second.notes)
    api.workflows[0]["status"] = {"phase": "Succeeded"}
    api.workflows[1]["status"] = {"phase": "Failed"}
    assert not any("works on" in note for note in submit(uri, None, cluster=cluster).notes)


def test_an_amendment_beside_a_live_workflow_is_refused_with_the_command_that_stops_it(
    uri: str, config: Path, cluster: Workflows, api: FakeApi
) -> None:
    submit(uri, str(config), cluster=cluster)
    before = open_store(uri).read("run.json")
    config.write_text(config.read_text() + "name: other\n")
    with pytest.raises(InputError, match="leicos-pipeline-0 works on it") as caught:
        submit(uri, str(config), cluster=cluster, amend=True)
    assert "argo stop -n leicos leicos-pipeline-0" in str(caught.value)
    assert open_store(uri).read("run.json") == before
    assert len(api.workflows) == 1
    api.workflows[0]["status"] = {"phase": "Failed"}
    submit(uri, str(config), cluster=cluster, amend=True)
    assert open_run(uri).config.name == "other"


def test_an_ended_workflow_that_still_holds_a_slot_is_named(
    uri: str, config: Path, cluster: Workflows, api: FakeApi
) -> None:
    submit(uri, str(config), cluster=cluster)
    submit(uri, None, cluster=cluster)
    lock = {
        "semaphore": "leicos/ConfigMap/leicos-semaphores/generate",
        "holders": ["leicos/leicos-pipeline-0/leicos-pipeline-0-77", "leicos/leicos-pipeline-1/leicos-pipeline-1-5"],
    }
    api.workflows[0]["status"] = {"phase": "Failed"}
    api.workflows[1]["status"] = {"phase": "Running", "synchronization": {"semaphore": {"waiting": [lock]}}}
    (note,) = [note for note in submit(uri, None, cluster=cluster).notes if "pool" in note]
    assert "leicos-pipeline-0 has ended" in note
    assert note.endswith("kubectl -n leicos delete workflow leicos-pipeline-0")
    api.workflows[1]["status"]["phase"] = "Succeeded"
    assert not any("pool" in note for note in submit(uri, None, cluster=cluster).notes)


def test_another_recording_under_the_same_name_is_refused_unless_amended(
    uri: str, config: Path, cluster: Workflows, api: FakeApi
) -> None:
    submit(uri, str(config), cluster=cluster)
    (config.parent / "my demos.hdf5").write_bytes(b"other")
    with pytest.raises(InputError, match=r"run:source/my-demos\.hdf5: its content has changed"):
        submit(uri, str(config), cluster=cluster)
    assert len(api.workflows) == 1
    assert open_store(uri).read("source/my-demos.hdf5") == b"hdf5"
    api.workflows[0]["status"] = {"phase": "Failed"}
    submit(uri, str(config), cluster=cluster, amend=True)
    assert open_store(uri).read("source/my-demos.hdf5") == b"other"
    assert open_run(uri).inputs == {"run:source/my-demos.hdf5": f"sha256:{hashlib.sha256(b'other').hexdigest()}"}


def test_an_amended_upload_that_was_cut_goes_on(
    uri: str, config: Path, cluster: Workflows, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(uri, str(config), cluster=cluster)
    (config.parent / "my demos.hdf5").write_bytes(b"other")
    api.workflows[0]["status"] = {"phase": "Failed"}
    with monkeypatch.context() as line:
        line.setattr(S3Store, "upload_resumable", cut_off)
        with pytest.raises(RetryError, match="cut"):
            submit(uri, str(config), cluster=cluster, amend=True)
    submit(uri, str(config), cluster=cluster)
    assert open_store(uri).read("source/my-demos.hdf5") == b"other"


def test_a_datasets_folder_goes_into_the_run_and_a_pod_works_with_it(
    uri: str, cluster: Workflows, api: FakeApi, tmp_path: Path
) -> None:
    config, source = tmp_path / "mine.yaml", write_dataset(tmp_path / "my data", DatasetSpec(lengths=(12, 13, 14)))
    size = "{backend: echo, width: 64, height: 48, frames: 12}"
    config.write_text(f"source: {{files: ['{source}']}}\ngenerate: {size}\nreplay: {{settings: {{task: none}}}}\n")
    with config.open("a") as stream:
        stream.write("curate: {require_success: false}\n")
    submit(uri, str(config), cluster=cluster)
    run = open_run(uri)
    assert run.config.source.files == ("run:source/my-data",)
    assert any("already at" in note for note in submit(uri, str(config), cluster=cluster).notes)
    convert(run)
    assert [item.frames for item in episodes.read(run)] == [12, 13, 14]

    open_store(uri).put("source/my-data/meta/tasks.jsonl", b"")
    with pytest.raises(InputError, match="has changed since the run was started"):
        fetch_source("run:source/my-data", run, tmp_path / "pod", whole=True)

    for workflow in api.workflows:
        workflow["status"] = {"phase": "Failed"}
    shutil.rmtree(source)
    write_dataset(source, DatasetSpec(lengths=(15, 16)))
    submit(uri, str(config), cluster=cluster, amend=True)
    amended = open_run(uri)
    convert(amended)
    assert [item.frames for item in episodes.read(amended)] == [15, 16]


def test_two_recordings_of_one_name_are_kept_apart(uri: str, cluster: Workflows, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "demos.hdf5").write_text(folder)
    names = [str(tmp_path / folder / "demos.hdf5") for folder in ("a", "b")]
    elsewhere = f"{uri}-other/x.hdf5"
    open_store(f"{uri}-other").put("x.hdf5", b"x")
    submit(uri, json.dumps({"source": {"files": [*names, elsewhere], "task": "Lift."}}), cluster=cluster)
    digest = hashlib.sha256(b"b").hexdigest()[:12]
    files = ("run:source/demos.hdf5", f"run:source/{digest}-demos.hdf5", elsewhere)
    assert open_run(uri).config.source.files == files
    assert open_store(uri).read(f"source/{digest}-demos.hdf5") == b"b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": "{source: {files: [missing.hdf5], task: Lift}}"}, "source.files: missing.hdf5 does not exist"),
        ({"config": "{source: {files: [], task: Lift}}"}, "source.files"),
        ({"template": "leicos-nothing"}, "WorkflowTemplate leicos-nothing in namespace leicos: not found"),
        ({"parameters": {"rounds": "3"}}, "has no parameter rounds"),
        ({"uri": "runs/lift"}, "pods cannot reach a folder"),
        ({"uri": "s3://bucket/runs/../lift"}, "segment '..'"),
        ({"uri": "s3://bucket/runs/li'ft"}, "cannot be part of a run's URI"),
        ({"uri": "s3://bucket/runs/{{workflow.name}}"}, "cannot be part of a run's URI"),
        ({"uri": "s3://bucket/runs/a\nb"}, "control character"),
        ({"config": None}, "is not a run"),
    ],
)
def test_what_can_be_refused_is_refused_before_anything_is_written(
    uri: str, config: Path, cluster: Workflows, api: FakeApi, change: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"uri": uri, "config": str(config), "cluster": cluster} | change
    with pytest.raises(InputError, match=message) as caught:
        submit(**given)
    assert caught.value.fix
    assert api.workflows == []
    assert list(open_store(uri).list("")) == []


def test_another_configuration_of_a_run_is_refused_before_the_upload(
    uri: str, config: Path, cluster: Workflows, api: FakeApi
) -> None:
    submit(uri, str(config), cluster=cluster)
    config.write_text(config.read_text() + "name: other\n")
    with pytest.raises(InputError, match="name: 'leicos' there, 'other' given"):
        submit(uri, str(config), cluster=cluster)
    assert len(api.workflows) == 1


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ApiException(status=403, reason="Forbidden"), InputError, "not allowed"),
        (ApiException(status=503, reason="Busy"), RetryError, "503 Busy"),
        (MaxRetryError(None, "/", None), RetryError, "does not answer"),  # type: ignore[arg-type]
    ],
)
def test_a_cluster_that_refuses_or_is_away_is_an_error_with_a_fix(
    uri: str, config: Path, cluster: Workflows, api: FakeApi, error: Exception, kind: type[Exception], message: str
) -> None:
    api.error = error
    with pytest.raises(kind, match=message) as caught:
        submit(uri, str(config), cluster=cluster)
    assert "fix:" in str(caught.value)


def test_a_backend_that_is_not_installed_here_is_left_to_the_first_pod(
    uri: str, config: Path, cluster: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(stage: str, name: str) -> Any:
        try:
            raise ImportError("no module named torch")
        except ImportError as error:
            raise InputError(f"{stage} backend {name!r} cannot be loaded", fix="install it") from error

    monkeypatch.setattr(registry, "load", load)
    assert any("not checked here" in note for note in submit(uri, str(config), cluster=cluster).notes)


def test_resubmit_forgets_failures_only_when_asked(uri: str, config: Path, cluster: Workflows, api: FakeApi) -> None:
    submit(uri, str(config), cluster=cluster)
    store = open_store(uri)
    made = HandMade(open_run(uri))
    (item,) = made.plan(1)
    made.fail("generate", item, "hangs")
    found = resubmit(uri, cluster=cluster)
    assert len(list(store.list("failures/"))) == 3
    assert found.parameters == {"run": uri}
    found = resubmit(uri, retry_quarantined=True, template="leicos-replay", cluster=cluster)
    assert list(store.list("failures/")) == []
    assert found.notes[0] == "failures forgotten: 3 in generate"
    assert api.workflows[-1]["spec"]["workflowTemplateRef"] == {"name": "leicos-replay"}


def test_resubmit_needs_a_run(uri: str, cluster: Workflows) -> None:
    with pytest.raises(InputError, match="is not a run"):
        resubmit(uri, cluster=cluster)


PART = 5 << 20
"""The smallest part that S3 allows."""


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> upload.Source:
    monkeypatch.setattr(parts, "PART_BYTES", PART)
    monkeypatch.setattr("leicos_jobs.store.s3.store.PART_BYTES", PART)
    path = tmp_path / "large.hdf5"
    path.write_bytes(b"".join(bytes([number]) * PART for number in range(3)) + b"end")
    return upload.Source(path, hashlib.sha256(path.read_bytes()).hexdigest(), "source/large.hdf5")


def test_an_interrupted_upload_goes_on_where_it_stopped(
    uri: str, large: upload.Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, sent, holds = open_store(uri), [], 2
    assert isinstance(store, S3Store)
    real = store._client.upload_part

    def send(**arguments: Any) -> Any:
        if len(sent) == holds:
            raise EndpointConnectionError(endpoint_url="the line is cut")
        sent.append(arguments["PartNumber"])
        return real(**arguments)

    monkeypatch.setattr(parts, "SENDERS", 1)
    monkeypatch.setattr(store._client, "upload_part", send)
    with pytest.raises(RetryError, match="cut"):
        upload.upload(store, large)
    assert store.size(large.key) is None
    assert sent == [1, 2]
    sent, holds = [], 1
    with pytest.raises(RetryError, match="cut"):
        upload.upload(store, large)
    assert sent == [3]
    sent, holds = [], 9
    assert upload.upload(store, large)
    assert sent == [4]
    assert store.read(large.key) == large.path.read_bytes()
    assert not upload.upload(store, large)


def test_parts_of_another_file_are_not_taken_over(uri: str, large: upload.Source, tmp_path: Path) -> None:
    store = open_store(uri)
    assert isinstance(store, S3Store)
    other = parts.Upload(store._client, store.bucket, f"{store.prefix}/{large.key}", {})
    store._client.upload_part(**other._where(other._begin()), PartNumber=1, Body=b"x" * PART)
    assert upload.upload(store, large)
    assert store.read(large.key) == large.path.read_bytes()
