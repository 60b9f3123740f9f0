"""etcd, API server, controller manager and scheduler, as plain processes.

Everything listens on loopback or on the bridge, nothing on an outside address.
Identities are tokens made anew for each run; the kubelet has its own, so that node
authorization works as it does elsewhere.
"""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

from .parts import kubectl, kubernetes
from .places import (
    API_PORT,
    ETCD_PORT,
    HOST_IP,
    KUBECONFIG,
    NAMESPACE,
    NODE,
    SERVICE_CIDR,
    WORK,
)
from .processes import HarnessError, run, start, wait_until

PKI = WORK / "pki"
NODE_KUBECONFIG = WORK / "kubelet.kubeconfig"
# The certificate with which the API server calls the kubelet; it is its own authority.
KUBELET_CLIENT = PKI / "kubelet-client.crt"
_KUBELET_CLIENT_KEY = PKI / "kubelet-client.key"
_SERVICE_ACCOUNT_KEY = PKI / "service-accounts.key"
_CERTIFICATE = PKI / "apiserver.crt"  # the API server makes it
_LOOPBACK_ETCD = f"http://127.0.0.1:{ETCD_PORT}"


def up() -> None:
    """Start all four and wait until the API server is ready."""
    PKI.mkdir()
    run("openssl", "genrsa", "-out", _SERVICE_ACCOUNT_KEY, "2048")
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=apiserver"),
        *("-keyout", _KUBELET_CLIENT_KEY, "-out", KUBELET_CLIENT),
    )
    tokens = {user: secrets.token_hex(16) for user in ("admin", "node")}
    users = f"{tokens['admin']},admin,1,system:masters\n{tokens['node']},system:node:{NODE},2,system:nodes\n"
    (WORK / "tokens.csv").write_text(users)

    _start_etcd()
    _start_api_server()
    wait_until("API server's certificate", lambda: _CERTIFICATE.exists(), 60, needs="kube-apiserver")
    KUBECONFIG.write_text(_kubeconfig(tokens["admin"]))
    NODE_KUBECONFIG.write_text(_kubeconfig(tokens["node"]))
    wait_until("API server", _ready, 120, needs="kube-apiserver")
    _start_controllers()


def _start_etcd() -> None:
    peers = f"http://127.0.0.1:{ETCD_PORT + 1}"
    listen = ("--listen-client-urls", _LOOPBACK_ETCD, "--advertise-client-urls", _LOOPBACK_ETCD)
    alone = ("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}")
    # A test cluster may lose its state in a power cut; waiting for the disk costs half its speed.
    options = ("--unsafe-no-fsync", "--listen-peer-urls", peers, *alone, *listen)
    start("etcd", [kubernetes("etcd"), "--data-dir", WORK / "etcd", *options])


def _start_api_server() -> None:
    start(
        "kube-apiserver",
        [
            kubernetes("kube-apiserver"),
            f"--etcd-servers={_LOOPBACK_ETCD}",
            f"--bind-address={HOST_IP}",
            f"--advertise-address={HOST_IP}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--cert-dir={PKI}",
            f"--token-auth-file={WORK / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={_SERVICE_ACCOUNT_KEY}",
            f"--service-account-signing-key-file={_SERVICE_ACCOUNT_KEY}",
            f"--kubelet-client-certificate={KUBELET_CLIENT}",
            f"--kubelet-client-key={_KUBELET_CLIENT_KEY}",
            "--kubelet-preferred-address-types=InternalIP",
        ],
    )


def _start_controllers() -> None:
    alone = ("--leader-elect=false", "--secure-port=0", f"--kubeconfig={KUBECONFIG}")
    accounts = (f"--root-ca-file={_CERTIFICATE}", f"--service-account-private-key-file={_SERVICE_ACCOUNT_KEY}")
    start("kube-controller-manager", [kubernetes("kube-controller-manager"), *alone, *accounts])
    start("kube-scheduler", [kubernetes("kube-scheduler"), *alone])


def _ready() -> bool:
    try:
        return run(kubectl(), "--kubeconfig", KUBECONFIG, "get", "--raw", "/readyz") == "ok"
    except HarnessError:
        return False


def _kubeconfig(token: str) -> str:
    """A kubeconfig (YAML is a superset of JSON) whose context names the namespace of the tests."""
    authority = base64.b64encode(Path(_CERTIFICATE).read_bytes()).decode()
    server = {"server": f"https://{HOST_IP}:{API_PORT}", "certificate-authority-data": authority}
    context = {"cluster": "leicos", "user": "leicos", "namespace": NAMESPACE}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "leicos", "cluster": server}],
            "users": [{"name": "leicos", "user": {"token": token}}],
            "contexts": [{"name": "leicos", "context": context}],
            "current-context": "leicos",
        },
        indent=1,
    )
