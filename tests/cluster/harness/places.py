"""Every version, address and folder of the test cluster, once.

Ports differ from the usual ones on purpose: other tests run an S3 server of
their own on the same machine, and a developer may have a cluster running.
"""

from __future__ import annotations

import os
from pathlib import Path

KUBERNETES = "v1.34.4"
ETCD = "v3.6.16"
SEAWEEDFS = "4.48"
HELM = "v3.22.0"
SUITE = "bookworm"

NAMESPACE = "leicos"
ARGO_NAMESPACE = "argo"
SERVICE_ACCOUNT = "wf"
S3_SECRET = "leicos-s3"  # the name of a Secret, not a secret
REGION = "us-east-1"
NODE = "leicos-node"

BRIDGE = "leicos0"
HOST_IP = "10.88.0.1"  # the bridge's own address: the only one of this machine that pods can reach
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/24"
KUBERNETES_SERVICE_IP = "10.96.0.1"
API_PORT = 16443
ETCD_PORT = 23790
S3_PORT = 18333

CACHE = Path(os.environ.get("LEICOS_CACHE_DIR", "~/.cache/leicos")).expanduser()
KUBE = CACHE / "kube"  # programs, one folder a version
HELM_PROGRAMS = CACHE / "helm"  # the same
TOOLS = CACHE / "tools"  # a virtual environment for what comes from PyPI
IMAGES = CACHE / "images"  # OCI archives
CONTAINERD = CACHE / "containerd"  # imported images; kept between runs, importing is slow
BUILDAH = CACHE / "buildah"  # layers of built images; kept for the same reason
WORK = CACHE / "cluster"  # one run of the cluster: emptied by the next start
RUN = Path("/run/leicos")  # sockets: their paths are limited to 108 bytes
LOGS = WORK / "logs"
STATE = WORK / "state.json"
LOCK = Path("/run/leicos-cluster.lock")  # one a machine, whatever the folder
KUBECONFIG = WORK / "kubeconfig"

ARGO = Path(os.environ.get("LEICOS_ARGO_BIN", str(CACHE / "argo"))).expanduser()
ARGO_PROGRAMS = ("argo", "workflow-controller", "argoexec")

GO_SOURCES = Path(__file__).parent / "go"
