"""The product: `argo submit` of the whole pipeline, and the same dataset as `leicos run` makes on this machine."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from .harness import Cluster
from .installation import Bucket, leicos, nodes, submit, succeeded
from .meddling import WITH_NOTICE, WITHOUT_NOTICE, delete_at_work, replaced

pytestmark = pytest.mark.cluster

SAMPLES = 8
FRAMES = 48
CONFIG_MAP = "e2e-configuration"
LASTING = (
    "dataset",
    "cosmos",
    "idm",
    "plan",
    "starts",
    "generate",
    "gate",
    "label",
    "replay",
    "truth",
    "controls",
    "demos",
    "curate",
)
RESULTS = ("synthetic", "report", "records", "source", "run.json", "failures")


def configuration(source: str) -> dict[str, Any]:
    """Everything for real, but tiny: the same as for the kill tests (tests/stages)."""
    from stages.conftest import CONFIG

    found: dict[str, Any] = json.loads(json.dumps(CONFIG))
    found["name"] = "e2e"
    found["source"]["files"] = [source]
    found["plan"]["samples"] = SAMPLES
    found["generate"]["frames"] = FRAMES
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipeline")


@pytest.fixture(scope="module")
def prefix() -> str:
    """Where in the bucket this test run keeps everything."""
    return f"e2e/{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def recording(folder: Path) -> Path:
    path = folder / "demos.hdf5"
    leicos("record", str(path), "--episodes", "6", "--seed", "1", "--width", "128", "--height", "96")
    return path


@pytest.fixture(scope="module")
def text(recording: Path, bucket: Bucket, prefix: str) -> str:
    """The configuration, one for the cluster and for this machine."""
    return yaml.safe_dump(configuration(bucket.upload(recording, f"{prefix}/demos.hdf5")))


@pytest.fixture(scope="module")
def here(text: str, folder: Path, bucket: Bucket) -> Iterator[Future[Path]]:
    """`leicos run` on this machine, under way while the cluster works."""
    (folder / "config.yaml").write_text(text)
    out = folder / "here"
    with ThreadPoolExecutor(1) as thread:
        command = ("run", str(folder / "config.yaml"), "--out", str(out), "--workers", "2")
        yield thread.submit(lambda: (leicos(*command, **bucket.environment), out)[1])


@pytest.fixture(scope="module")
def first(installed: Cluster, text: str, bucket: Bucket, prefix: str, here: Future[Path]) -> dict[str, Any]:
    """The whole pipeline, submitted with the configuration's text as a parameter."""
    name = submit(installed, "leicos-pipeline", run=bucket.uri(f"{prefix}/first"), config=text)
    return succeeded(installed, name)


def lasting(bucket: Bucket, run: str) -> dict[str, Any]:
    """All objects of a run but notes that every attempt leaves: rounds, heartbeats, timings."""
    return {
        key: written for key, written in bucket.objects(run).items() if key.partition("/")[0] in (*LASTING, *RESULTS)
    }


def made(bucket: Bucket, run: str, stage: str) -> str:
    """Folder of a whole stage of which a run has one result."""
    (key,) = bucket.objects(f"{run}/records/{stage}")
    return str(json.loads(bucket.read(f"{run}/records/{stage}/{key}"))["folder"])


def same(bucket: Bucket, run: str, target: Path, other: Path) -> None:
    """Assert that a run in the bucket and one on disk are the same in ids, values and pixels."""
    from stages.conftest import snapshot

    bucket.copy_down(run, target)
    plan = "plan/latest/samples.jsonl"
    assert (target / plan).read_text() == (other / plan).read_text()
    found, wanted = snapshot(target), snapshot(other)
    assert found.keys() == wanted.keys()
    assert sum(name.endswith(".mp4") for name in wanted) == SAMPLES
    for name, value in wanted.items():
        assert found[name] == value, name


def test_the_whole_pipeline_by_argo_submit(first: dict[str, Any], bucket: Bucket, prefix: str) -> None:
    keys = bucket.objects(f"{prefix}/first").keys()

    assert first["status"]["phase"] == "Succeeded"
    report, synthetic = (made(bucket, f"{prefix}/first", stage) for stage in ("report", "assemble"))
    assert {"run.json", f"{report}/index.html", f"{report}/single.html", f"{synthetic}/meta/info.json"} <= keys
    assert sum(key.startswith("synthetic/") and key.endswith(".mp4") for key in keys) == SAMPLES
    assert not [key for key in keys if key.startswith("failures/")]


def test_the_report_is_an_artifact_that_the_ui_can_show(first: dict[str, Any], bucket: Bucket, prefix: str) -> None:
    copy = f"{prefix}/first/argo/report"
    report = nodes(first, "Pod", "report")[0]

    assert f"{copy}/" in {item["s3"]["key"] for item in report["outputs"]["artifacts"] if "s3" in item}
    place = f"{prefix}/first/{made(bucket, f'{prefix}/first', 'report')}"
    assert bucket.objects(copy).keys() == bucket.objects(place).keys()
    assert bucket.read(f"{copy}/index.html") == bucket.read(f"{place}/index.html")


def test_progress_is_told_in_samples(first: dict[str, Any]) -> None:
    found = [node["progress"] for node in nodes(first, "Pod", "generate")]

    assert sum(int(each.partition("/")[2]) for each in found) == SAMPLES
    assert all(each.partition("/")[0] == each.partition("/")[2] for each in found)


def test_the_dataset_equals_that_of_leicos_run(
    first: dict[str, Any], here: Future[Path], bucket: Bucket, prefix: str, folder: Path
) -> None:
    same(bucket, f"{prefix}/first", folder / "first", here.result())


@pytest.mark.long
@pytest.mark.parametrize("attempt", ["second", "third"])
def test_again_from_nothing(
    attempt: str,
    installed: Cluster,
    first: dict[str, Any],
    text: str,
    here: Future[Path],
    bucket: Bucket,
    prefix: str,
    folder: Path,
) -> None:
    """Three times in a row, with the first."""
    run = f"{prefix}/{attempt}"
    succeeded(installed, submit(installed, "leicos-pipeline", run=bucket.uri(run), config=text))
    same(bucket, run, folder / attempt, here.result())


def test_submitting_a_finished_run_again_does_nothing_new(
    installed: Cluster, first: dict[str, Any], text: str, bucket: Bucket, prefix: str
) -> None:
    """This time the configuration comes from a ConfigMap, and equals what the run has."""
    before = lasting(bucket, f"{prefix}/first")
    metadata = {"name": CONFIG_MAP}
    installed.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"run.yaml": text}})

    again = succeeded(
        installed, submit(installed, "leicos-pipeline", run=bucket.uri(f"{prefix}/first"), config=CONFIG_MAP)
    )

    assert lasting(bucket, f"{prefix}/first") == before
    assert not nodes(again, "Pod", "generate"), "nothing was missing"


def test_pods_deleted_at_work_change_nothing(
    installed: Cluster, recording: Path, here: Future[Path], bucket: Bucket, prefix: str, folder: Path
) -> None:
    """Both generate pods go, one with notice and one without. Submitted by `leicos submit`, which uploads the HDF5."""
    (folder / "local.yaml").write_text(yaml.safe_dump(configuration(str(recording))))
    environment = bucket.environment | {"KUBECONFIG": str(installed.kubeconfig)}
    run = f"{prefix}/disturbed"
    said = leicos("submit", bucket.uri(run), "--config", str(folder / "local.yaml"), **environment)
    name = said.split()[0].partition("/")[2]

    struck = delete_at_work(installed, name, "generate", WITH_NOTICE, WITHOUT_NOTICE)
    workflow = succeeded(installed, name)

    assert [replaced(installed, workflow, pod) for pod in struck] == [True, True]
    assert {node["phase"] for node in nodes(workflow, "Retry", "generate")} == {"Succeeded"}
    same(bucket, run, folder / "disturbed", here.result())
