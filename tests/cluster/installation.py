"""leicos on the test cluster: its images, its chart with values for a small machine, its runs in the bucket."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import yaml

from .harness import Cluster
from .harness.parts import helm
from .harness.places import REGION
from .harness.processes import HarnessError, run

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "leicos"
RELEASE = "leicos"
JOBS_IMAGE = "localhost/leicos-jobs:test"
TEMPLATES = (
    "leicos-generate",
    "leicos-pipeline",
    "leicos-prepare",
    "leicos-replay",
    "leicos-report",
    "leicos-train",
)
STORE_SECRET = "leicos-s3"  # the name of a Secret, not a secret
PATIENCE = 1200.0
NO_GPU = {"nvidia.com/gpu": None}  # takes the default away; where there is none Helm would keep the null
POOLS: dict[str, dict[str, None]] = {"generate": NO_GPU, "train": NO_GPU, "label": NO_GPU, "replay": NO_GPU, "cpu": {}}
SINGLE_THREADED = [{"name": "OMP_NUM_THREADS", "value": "1"}]


def build_jobs_image(cluster: Cluster) -> str:
    """images/jobs as anybody builds it, on the base that this machine has."""
    arguments = {"BASE": cluster.base_image(), "GIT_COMMIT": "test"}
    return cluster.build_image(ROOT, ROOT / "images/jobs/Dockerfile", JOBS_IMAGE, arguments)


def values(cluster: Cluster, image: str, pool: dict[str, Any]) -> dict[str, Any]:
    """The chart's values for one image with the CPU backends on a machine of two cores; `pool` is said of all pools."""
    repository, _, tag = image.rpartition(":")
    requests, limits = {"cpu": "20m", "memory": "64Mi"}, {"memory": "3Gi"}
    pool = {"scratch": {"size": "2Gi"}, "env": SINGLE_THREADED, "concurrency": 3, **pool}
    return {
        "images": {
            "pullPolicy": "Never",
            **{kind: {"repository": repository, "tag": tag} for kind in ("jobs", "cosmos", "idm", "isaac")},
        },
        "store": {
            "bucket": cluster.bucket,
            "endpoint": cluster.s3_endpoint,
            "region": REGION,
            "existingSecret": STORE_SECRET,
        },
        "pools": {
            name: {**pool, "resources": {"requests": {**requests, **gpus}, "limits": {**limits, **gpus}}}
            for name, gpus in POOLS.items()
        },
    }


def install(
    cluster: Cluster,
    namespace: str,
    image: str,
    pool: dict[str, Any] | None = None,
    with_helm: tuple[str | Path, ...] = (),
    keys: dict[str, str] | None = None,
    **more: Any,
) -> Cluster:
    """Install the chart as its README says, and return the cluster as seen from its namespace.

    pool: values of every pool; more: other values. with_helm: another helm, and options for it. keys: other
    credentials than those for all of the bucket.
    """
    here = cluster.in_namespace(namespace)
    keys = keys or {"AWS_ACCESS_KEY_ID": cluster.s3_access_key, "AWS_SECRET_ACCESS_KEY": cluster.s3_secret_key}
    here.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": STORE_SECRET}, "stringData": keys})
    text = yaml.safe_dump({**values(cluster, image, pool or {}), **more})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        program, *options = with_helm or (helm(),)
        command = ("upgrade", "--install", RELEASE, CHART, "--namespace", namespace, "--values", file.name)
        run(program, *command, *options, env={"KUBECONFIG": str(here.kubeconfig)})
    return here


def submit(cluster: Cluster, template: str, **parameters: str) -> str:
    """`argo submit --from` with its parameters; returns the workflow's name."""
    given = [part for name, value in parameters.items() for part in ("-p", f"{name.replace('_', '-')}={value}")]
    return cluster.argo("submit", "--from", f"workflowtemplate/{template}", "--output", "name", *given).strip()


def succeeded(cluster: Cluster, name: str, patience: float = PATIENCE, pause: float = 1) -> dict[str, Any]:
    """The workflow after its end; a failed one is told with what its pods said."""
    found = cluster.wait_for_workflow(name, patience, pause)
    if found["status"]["phase"] != "Succeeded":
        said = [found["status"].get("message", "")]
        for command in (("get", name), ("logs", name, "--tail", "20")):
            try:
                said.append(cluster.argo(*command)[-8000:])
            except HarnessError as error:
                said.append(str(error))
        raise AssertionError(f"{name} {found['status']['phase']}\n" + "\n".join(said))
    return found


class Bucket:
    """What the tests do with the cluster's bucket."""

    def __init__(self, cluster: Cluster) -> None:
        self.name = cluster.bucket
        self.environment = {
            "AWS_ENDPOINT_URL": cluster.s3_endpoint,
            "AWS_ACCESS_KEY_ID": cluster.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": cluster.s3_secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=cluster.s3_endpoint,
            aws_access_key_id=cluster.s3_access_key,
            aws_secret_access_key=cluster.s3_secret_key,
            region_name=REGION,
        )

    def uri(self, key: str) -> str:
        """s3:// and so on."""
        return f"s3://{self.name}/{key}"

    def upload(self, path: Path, key: str) -> str:
        """Put a file there; returns its URI."""
        self.client.upload_file(str(path), self.name, key)
        return self.uri(key)

    def objects(self, prefix: str) -> dict[str, tuple[str, Any]]:
        """Key below the prefix -> what changes when the object is written again."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix + "/")
        return {
            item["Key"][len(prefix) + 1 :]: (item["ETag"], item["LastModified"])
            for page in pages
            for item in page.get("Contents", [])
        }

    def read(self, key: str) -> bytes:
        """An object's bytes."""
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def copy_down(self, prefix: str, target: Path, folders: tuple[str, ...] = ("synthetic", "plan")) -> Path:
        """Parts of a run as local files; each folder's newest content is its `latest`, as in a folder store."""
        newest: dict[str, tuple[Any, str]] = {}
        for key, (_, written) in self.objects(prefix).items():
            top, _, rest = key.partition("/")
            if top in folders:
                path = target / key
                path.parent.mkdir(parents=True, exist_ok=True)
                self.client.download_file(self.name, f"{prefix}/{key}", str(path))
                newest[top] = max(newest.get(top, (written, "")), (written, rest.partition("/")[0]))
        for top, (_, name) in newest.items():
            (target / top / "latest").unlink(missing_ok=True)
            (target / top / "latest").symlink_to(name, target_is_directory=True)
        return target


def leicos(*arguments: str, **environment: str) -> str:
    """The command line on this machine, with one thread as the pods have; returns its standard output."""
    return run(
        sys.executable,
        "-m",
        "leicos_jobs.cli.main",
        *arguments,
        env={"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *_path()]), **environment},
    )


def _path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def nodes(workflow: dict[str, Any], kind: str, template: str = "") -> list[dict[str, Any]]:
    """The nodes of one type, of all templates or of one."""
    return [
        node
        for node in workflow.get("status", {}).get("nodes", {}).values()
        if node["type"] == kind and (not template or template_of(node) == template)
    ]


def template_of(node: dict[str, Any]) -> str:
    """The template that a node runs, of the workflow itself or of another WorkflowTemplate."""
    return str(node.get("templateName") or node.get("templateRef", {}).get("template", ""))


def size(workflow: dict[str, Any]) -> int:
    """Bytes of a Workflow object as it is stored, without what only the API server shows."""
    kept = {**workflow, "metadata": {**workflow["metadata"], "managedFields": None}}
    return len(json.dumps(kept, separators=(",", ":")))
