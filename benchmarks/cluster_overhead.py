"""What leicos costs over a bare Argo workflow: no-op workers on the test cluster, beside pods that only open S3.

    python -m benchmarks.cluster_overhead --workers 200

Both workflows have the same shape and the same number of pods of the same image: two before the fan-out, three in a row
for every worker, two after it and an exit handler. Ours are `leicos generate`, `gate` and `label` by workers whose
samples are committed already, with retries, semaphores and outputs as the chart installs them; the bare ones import
boto3 and pydantic, make one S3 client, and have none of that. The ratio of wall times should stay below 1.15. Beside
it: the size of the finished Workflow object against the estimate of `leicos lint`, and the CPU time of commands on this
machine. Needs what `make test-cluster` needs, and a machine that does nothing else; `--order` changes who goes first.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from stages.conftest import CONFIG

from leicos_jobs.core import workflow_size as size
from leicos_jobs.run import layout
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Round, write_round
from tests.cluster import installation
from tests.cluster.harness import Cluster
from tests.cluster.installation import Bucket, nodes, succeeded

NAMESPACE = "leicos-overhead"
AT_ONCE = 8
PATIENCE, PAUSE = 7200.0, 10.0
RATIO_BAR, VERSION_BAR, WORKER_BAR = 1.15, 0.2, 1.0
REPEATS = 9
BARE = "import boto3, pydantic; boto3.session.Session().client('s3')"
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def finished_run(folder: Path, bucket: Bucket, prefix: str) -> str:
    """A tiny run, done on this machine into the bucket, so that its workers have nothing to do; returns its URI."""
    recording, config = folder / "demos.hdf5", json.loads(json.dumps(CONFIG))
    installation.leicos("record", str(recording), "--episodes", "3", "--width", "128", "--height", "96")
    config["source"]["files"] = [bucket.upload(recording, f"{prefix}/demos.hdf5")]
    config["plan"]["samples"] = 2
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    uri = bucket.uri(f"{prefix}/run")
    installation.leicos("run", str(folder / "run.yaml"), "--out", uri, **bucket.environment)
    return uri


def plan_noops(uri: str, workflow: str, workers: int) -> None:
    """Write a round of that many workers in advance: plan-round finds it and keeps it."""
    run = open_run(uri)
    done = (Results(run).samples()[0].id,)
    planned = Round(workers=workers, samples=done, made=done * workers)
    write_round(run, layout.round_folder(workflow, layout.round_name(0)), planned)


def ours(cluster: Cluster, uri: str, name: str, workers: int) -> dict[str, Any]:
    """The installed leicos-generate over no-op workers, after its end."""
    plan_noops(uri, name, workers)
    cluster.argo("submit", "--from", "workflowtemplate/leicos-generate", "--name", name, "-p", f"run={uri}")
    return succeeded(cluster, name, PATIENCE, PAUSE)


def bare(cluster: Cluster, name: str, image: str, workers: int) -> dict[str, Any]:
    """The same shape without leicos, after its end."""
    container = {
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", BARE],
        "env": [{"name": "HOME", "value": "/tmp"}, *installation.SINGLE_THREADED],
        "envFrom": [
            {"secretRef": {"name": installation.STORE_SECRET}},
            {"configMapRef": {"name": installation.STORE_SECRET}},
        ],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "3Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }

    def task(name: str, template: str, depends: str = "", **more: Any) -> dict[str, Any]:
        return {"name": name, "template": template, **({"depends": depends} if depends else {}), **more}

    three = [task("a", "pod"), task("b", "pod", "a"), task("c", "pod", "b")]
    items = json.dumps(list(range(workers)))
    main = [
        task("first", "pod"),
        task("second", "pod", "first"),
        task("shard", "shard", "second", withParam=items),
        task("third", "pod", "shard"),
        task("fourth", "pod", "third"),
    ]
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "main",
            "onExit": "pod",
            "serviceAccountName": "leicos-workflow",
            "securityContext": SECURITY,
            "parallelism": AT_ONCE,
            "templates": [
                {"name": "main", "dag": {"tasks": main}},
                {"name": "shard", "dag": {"tasks": three}},
                {"name": "pod", "container": container, "volumes": [{"name": "tmp", "emptyDir": {}}]},
            ],
        },
    }
    cluster.create(manifest)
    return succeeded(cluster, name, PATIENCE, PAUSE)


def forget(cluster: Cluster, name: str) -> None:
    """Delete a workflow and wait until its pods are gone: the kubelet looks at ended ones too, which costs the next
    workflow a fifth of its pace."""
    cluster.kubectl("delete", "workflow", name)
    cluster.kubectl(
        "wait", "--for=delete", "pod", f"--selector=workflows.argoproj.io/workflow={name}", "--timeout=900s"
    )


def seconds(workflow: dict[str, Any]) -> float:
    """Wall time of a finished workflow as Argo tells it."""
    began, ended = (datetime.fromisoformat(workflow["status"][name]) for name in ("startedAt", "finishedAt"))
    return (ended - began).total_seconds()


def with_nodes(workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow with its nodes, which a large one has compressed."""
    status = workflow["status"]
    if packed := status.get("compressedNodes"):
        status = {**status, "nodes": json.loads(gzip.decompress(base64.b64decode(packed)))}
    return {**workflow, "status": status}


def sizes(workflow: dict[str, Any], workers: int) -> dict[str, float]:
    """What the object takes in etcd, and what `lint` expects: for these nodes, and with all rounds and retries."""
    stored = installation.size(workflow)
    whole = with_nodes(workflow)
    found = whole["status"]["nodes"]
    text = json.dumps(found, separators=(",", ":")).encode()
    packed = len(base64.b64encode(gzip.compress(text)))
    rest = installation.size({**whole, "status": {**whole["status"], "nodes": {}, "compressedNodes": ""}})
    return {
        "stored_bytes": stored,
        "nodes": len(found),
        "bytes_per_node": round(len(text) / len(found), 1),
        "compressed_bytes_per_node": round(packed / len(found), 1),
        "bytes_besides": rest,
        "expected_nodes_one_round": round(size.nodes(workers, 1)),
        "expected_bytes_one_round": size.object_bytes(workers, 1),
        "expected_bytes_three_rounds": size.object_bytes(workers, 3),
        "expected_bytes_per_node": size.NODE_BYTES,
        "expected_compressed_bytes_per_node": size.COMPRESSED_NODE_BYTES,
        "expected_bytes_besides": size.FIXED_BYTES,
    }


def cpu_seconds(*command: str, **environment: str) -> float:
    """The least CPU time of a command over some tries, user and system."""
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
    )
    tries = [
        subprocess.run(
            [sys.executable, "-c", measure, *command],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(REPEATS)
    ]
    return min(float(each.stdout) for each in tries)


def commands(uri: str, bucket: Bucket) -> dict[str, float]:
    """CPU seconds of `leicos --version` and of a worker with nothing to do, beside what the bare pod does."""
    plan_noops(uri, "cpu", 1)
    program = str(Path(sys.executable).with_name("leicos"))
    environment = {"PYTHONPATH": str(installation.ROOT), **bucket.environment}
    where = ("--run", uri, "--workflow", "cpu", "--round", "0", "--worker", "0")
    found = {"leicos --version": cpu_seconds(program, "--version", **environment)}
    for stage in ("generate", "gate", "label"):
        found[f"no-op {stage}"] = cpu_seconds(program, stage, *where, **environment)
    found["bare"] = cpu_seconds(sys.executable, "-c", BARE, **environment)
    return {name: round(value, 3) for name, value in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--order", choices=("bare-first", "ours-first"), default="bare-first")
    parser.add_argument("--only-commands", action="store_true", help="measure the commands' CPU time and no workflow")
    options = parser.parse_args()
    found: dict[str, Any] = {"workers": options.workers, "load_before": os.getloadavg()}
    with Cluster() as cluster, tempfile.TemporaryDirectory() as name:
        bucket = Bucket(cluster)
        os.environ.update(bucket.environment)
        stamp = f"{time.time():.0f}"
        uri = finished_run(Path(name), bucket, f"overhead/{stamp}")
        found["cpu_seconds"] = commands(uri, bucket)
        if not options.only_commands:
            measure(cluster, uri, stamp, options, found)
    found["load_after"] = os.getloadavg()
    print(json.dumps(found, indent=1))
    cpu = found["cpu_seconds"]
    slow = max(value for name, value in cpu.items() if name.startswith("no-op")) > WORKER_BAR
    return int(slow or cpu["leicos --version"] > VERSION_BAR or found.get("ratio", 0) > RATIO_BAR)


def measure(cluster: Cluster, uri: str, stamp: str, options: argparse.Namespace, found: dict[str, Any]) -> None:
    """Run both workflows one after the other and note their times and sizes."""
    image = installation.build_jobs_image(cluster)
    here = install(cluster, image)
    runs = {
        "bare": lambda: bare(here, f"bare-{stamp}", image, options.workers),
        "ours": lambda: ours(here, uri, f"ours-{stamp}", options.workers),
    }
    order = ["bare", "ours"] if options.order == "bare-first" else ["ours", "bare"]
    ended = {}
    for name in order:
        ended[name] = runs[name]()
        forget(here, str(ended[name]["metadata"]["name"]))
    for name, workflow in ended.items():
        found[f"{name}_pods"] = len(nodes(with_nodes(workflow), "Pod"))
        found[f"{name}_seconds"] = seconds(workflow)
    found["ratio"] = round(found["ours_seconds"] / found["bare_seconds"], 3)
    found["size"] = sizes(ended["ours"], options.workers)


def install(cluster: Cluster, image: str) -> Cluster:
    """The chart with its usual semaphores, but so many pods at once as the machine bears."""
    return installation.install(cluster, NAMESPACE, image, {"concurrency": 64}, workflow={"parallelism": AT_ONCE})


if __name__ == "__main__":
    sys.exit(main())
