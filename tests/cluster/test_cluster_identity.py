"""The whole system against backends that write a sample's id into its pixels: nothing is lost, doubled or swapped.

Backends raise, die and truncate their files at random, and pods are deleted without notice. `leicos run` passes the
same test in tests/stages/test_identity.py.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import installation
from .harness import Cluster
from .installation import Bucket, nodes, submit, succeeded
from .meddling import WITHOUT_NOTICE, delete_at_work

pytestmark = pytest.mark.cluster

SAMPLES = 200
TROUBLE = 0.04
PAUSE = 0.4
"""Seconds of pretended work a sample: a shard must last until its pod is deleted."""
OLD_ENOUGH = 12.0
"""A pod that goes in its first 10 s Argo makes again; afterwards it is an error and another attempt."""


@pytest.fixture(scope="module")
def place(cluster: Cluster, jobs_image: str) -> Cluster:
    """A namespace of its own with the chart and the image that has the test backends."""
    image = installation.build_identity_image(cluster, jobs_image)
    return installation.install(cluster, "leicos-identity", image)


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
    """The workflow after its end, with a pod deleted in it."""
    name = submit(place, "leicos-pipeline", run=bucket.uri(run[0]), config=run[1], max_rounds="4")
    struck = delete_at_work(place, name, "generate", WITHOUT_NOTICE, age=OLD_ENOUGH)
    workflow = succeeded(place, name)
    lost = workflow["status"]["nodes"][struck[0].node]
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
