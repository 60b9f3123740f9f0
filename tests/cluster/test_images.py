"""images/{cosmos,idm,isaac}: the leicos part, built on a stand-in for upstream's, starts as the chart's pods do.

The upstream part needs NVIDIA's registry. For cosmos and isaac the stand-in is the base that the tests have. For idm it
is what the jobs image is built on, whose torch is what the Dockerfile asks for: PyPI's own brings 4 GB of CUDA that no
test here uses.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from leicos_jobs.backends.cosmos_predict25.settings import UPSTREAM as COSMOS
from leicos_jobs.backends.gr00t_dreams.settings import UPSTREAM as GR00T
from leicos_jobs.backends.isaac.settings import UPSTREAM as LEISAAC

from .harness import Cluster, images, oci
from .installation import ROOT

pytestmark = pytest.mark.cluster

_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_START = """
echo "user $(id -u)"
touch /opt/written 2>/dev/null && echo "root file system is writable"
leicos --version || exit 1
python - <<'END'
import importlib.util
print("hera", *(importlib.util.find_spec(name) for name in ("hera", "hera_workflows")))
END
"""


@dataclass(frozen=True)
class Image:
    """What is expected of one image. runs: a command of its backend; says: its answer without the upstream."""

    name: str
    upstream: str
    commit: str
    runs: str
    says: str


IMAGES = (
    Image("cosmos", "cosmos-predict2.5", COSMOS, "leicos verify cosmos", "/opt/cosmos is not a checkout"),
    Image(
        "idm",
        "gr00t-dreams",
        GR00T,
        "python -c 'import torch, leicos_jobs.backends.gr00t_dreams.engine as engine; print(engine.__name__)'",
        "leicos_jobs.backends.gr00t_dreams.engine",
    ),
    Image("isaac", "leisaac", LEISAAC, "ACCEPT_EULA=Y leicos verify isaac", "Isaac Sim is not on this machine"),
)


@pytest.fixture(params=IMAGES, ids=lambda image: image.name)
def expected(request: pytest.FixtureRequest) -> Image:
    """One image after the other."""
    found: Image = request.param
    return found


@pytest.fixture
def archive(expected: Image, cluster: Cluster) -> Path:
    """It, built."""
    stand_in = cluster.base_image()
    if expected.name == "idm":
        dockerfile, tag = ROOT / "images/jobs/Dockerfile", "localhost/leicos-idm-stand-in:test"
        stand_in = images.build_stage(ROOT, dockerfile, "dependencies", tag, {"BASE": stand_in})
    arguments = {"UPSTREAM": stand_in, "BASE": stand_in, "UV": stand_in, "GIT_COMMIT": "test"}
    tag = f"localhost/leicos-{expected.name}:test"
    return images.build(ROOT, ROOT / "images" / expected.name / "Dockerfile", tag, arguments)


def test_it_starts_restricted_read_only_and_without_a_network(expected: Image, archive: Path, cluster: Cluster) -> None:
    name, script = f"image-{expected.name}", f"{_START}{expected.runs} 2>&1\ntrue\n"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "dnsPolicy": "None",  # no name resolves: whoever wants to download at its start fails
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            "containers": [
                {
                    "name": "main",
                    "image": cluster.load_image(archive),
                    "imagePullPolicy": "Never",
                    "command": ["/bin/sh", "-c", script],
                    "securityContext": _SECURITY,
                    "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }
    cluster.kubectl("delete", "pod", name, "--ignore-not-found")
    cluster.create(pod)
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s", f"pod/{name}")
    said = cluster.kubectl("logs", name)

    assert said.splitlines()[0] == "user 1000"
    assert "writable" not in said
    assert "leicos, version" in said
    assert "hera None None" in said
    assert expected.says in said


def test_its_labels_name_the_pinned_upstream(expected: Image, archive: Path) -> None:
    labels = oci.labels(archive)
    pinned = tomllib.loads((ROOT / "images/upstreams.toml").read_text())[expected.upstream]["commit"]

    assert labels["org.leicos.upstream.name"] == expected.upstream
    assert labels["org.leicos.upstream.commit"] == pinned == expected.commit
    assert labels["org.opencontainers.image.revision"] == "test"
