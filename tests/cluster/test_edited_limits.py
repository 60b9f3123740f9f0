"""What people edit by hand in leicos-semaphores survives `helm upgrade`, with every version of helm that is here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from . import installation
from .harness import Cluster, missing
from .harness.parts import helms
from .harness.processes import run

pytestmark = pytest.mark.cluster

LIMITS = "leicos-semaphores"
IMAGE = "localhost/none:1"  # nothing runs here
HELMS = [] if missing() else helms()


def limits(place: Cluster) -> dict[str, str]:
    found: dict[str, str] = json.loads(place.kubectl("get", "configmap", LIMITS, "-o", "json"))["data"]
    return found


@pytest.mark.parametrize("helm", HELMS, ids=lambda path: path.parent.name)
def test_an_edited_limit_stays_until_its_value_changes(cluster: Cluster, helm: Path) -> None:
    version = run(helm, "version", "--short").strip()
    namespace = "leicos-limits-" + version.partition("+")[0].replace(".", "-")

    def upgrade(concurrency: int, *options: str) -> Cluster:
        return installation.install(cluster, namespace, IMAGE, {"concurrency": concurrency}, with_helm=(helm, *options))

    place = upgrade(3)
    place.kubectl("patch", "configmap", LIMITS, "--type=merge", "--patch", json.dumps({"data": {"cpu": "7"}}))
    for _ in range(2):
        upgrade(3)
        assert limits(place) == {"cpu": "7", "generate": "3", "label": "3", "replay": "3", "train": "3"}
    # Helm 4 asks before it changes what somebody else has written.
    upgrade(5, *(["--force-conflicts"] if version.startswith("v4") else []))
    assert limits(place) == dict.fromkeys(("cpu", "generate", "label", "replay", "train"), "5")
