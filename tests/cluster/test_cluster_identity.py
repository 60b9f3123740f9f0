"""The whole system against backends that write a sample's id into its pixels: nothing is lost, doubled or swapped.

Backends raise, die and truncate their files at random, and pods are deleted, with notice and without. `leicos run`
passes the same test in tests/stages/test_identity.py.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import installation
from .harness import Cluster
from .installation import SINGLE_THREADED, Bucket, nodes, submit, succeeded
from .meddling import WITH_NOTICE, WITHOUT_NOTICE, delete_at_work

pytestmark = [pytest.mark.cluster, pytest.mark.long]

NAMESPACE = "leicos-identity"
PLUGINS = installation.ROOT / "tests/plugins"
MOUNTED = "/opt/plugins"
SAMPLES = 200
TROUBLE = 0.04
PAUSE = 0.8
"""Seconds of pretended work a sample: a worker must last until its pod is deleted."""
OLD_ENOUGH = 12.0
"""A pod that goes in its first 10 s Argo makes again; afterwards it is an error and another attempt."""


@pytest.fixture(scope="module")
def place(cluster: Cluster, jobs_image: str) -> Cluster:
    """A namespace of its own with the chart; the test backends come as a volume of every pool, not in the image."""
    here = cluster.in_namespace(NAMESPACE)
    files = [path for path in sorted(PLUGINS.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    keys = {f"file-{number}": path for number, path in enumerate(files)}
    data = {key: path.read_text() for key, path in keys.items()}
    here.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAMESPACE}, "data": data})
    items = [{"key": key, "path": path.relative_to(PLUGINS).as_posix()} for key, path in keys.items()]
    return installation.install(
        cluster,
        NAMESPACE,
        jobs_image,
        {
            "env": [*SINGLE_THREADED, {"name": "PYTHONPATH", "value": MOUNTED}],
            "volumes": [{"name": "plugins", "configMap": {"name": NAMESPACE, "items": items}}],
            "volumeMounts": [{"name": "plugins", "mountPath": MOUNTED, "readOnly": True}],
        },
    )


@pytest.fixture(scope="module")
def run(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The run's prefix, and the URI of its configuration in the bucket."""
    from helpers.identity import write_config

    folder = tmp_path_factory.mktemp("identity")
    prefix = f"identity/{uuid.uuid4().hex[:8]}"
    config = yaml.safe_load(write_config(folder, samples=SAMPLES, trouble=TROUBLE, pause=PAUSE).read_text())
    config["source"]["files"] = [
        bucket.upload(Path(name), f"{prefix}/demos.hdf5") for name in config["source"]["files"]
    ]
    config["label"]["settings"]["pause"] = 0.0
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(config))
    return f"{prefix}/run", bucket.upload(path, f"{prefix}/identity.yaml")


@pytest.fixture(scope="module")
def ended(place: Cluster, run: tuple[str, str], bucket: Bucket) -> dict[str, Any]:
    """The workflow after its end, with two pods deleted in it."""
    name = submit(place, "leicos-pipeline", run=bucket.uri(run[0]), config=run[1], max_rounds="4")
    struck = delete_at_work(place, name, "generate", WITH_NOTICE, WITHOUT_NOTICE, age=OLD_ENOUGH)
    workflow = succeeded(place, name)
    warned, lost = (workflow["status"]["nodes"][pod.node] for pod in struck)
    # Argo may see the end of a pod that had notice, or only that it is gone.
    assert (warned["phase"], warned["message"]) in (("Failed", "main: Error (exit code 75)"), ("Error", "pod deleted"))
    assert (lost["phase"], lost["message"]) == ("Error", "pod deleted")
    return workflow


def test_every_row_is_its_own_samples(
    ended: dict[str, Any], run: tuple[str, str], bucket: Bucket, tmp_path: Path
) -> None:
    from helpers.identity import check_dataset

    check_dataset(bucket.copy_down(run[0], tmp_path), SAMPLES)


def test_there_was_trouble_and_none_of_it_counted_twice(
    ended: dict[str, Any], run: tuple[str, str], bucket: Bucket
) -> None:
    keys = bucket.objects(run[0])
    records = [key for key in keys if key.startswith("generate/") and key.endswith(".json")]

    assert any(key.startswith("failures/generate/") for key in keys)
    assert len({key.split("/")[1] for key in records}) == len(records) == SAMPLES
    assert {node["phase"] for node in nodes(ended, "Retry", "generate")} == {"Succeeded"}
