"""The pods' network: one bridge, and two address translations instead of kube-proxy.

The bridge is made before anything else starts, because the API server and the S3
server listen on its address; the CNI plugin finds it and only attaches pods.
Nothing is forwarded to other interfaces: pods reach this machine and each other.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .places import API_PORT, BRIDGE, HOST_IP, KUBERNETES_SERVICE_IP, POD_CIDR, WORK
from .processes import HarnessError, run

CNI = WORK / "cni"
_CHAINS = ("PREROUTING", "OUTPUT")


def up() -> None:
    """Make the bridge, the CNI configuration and the translations."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST_IP}/{POD_CIDR.partition('/')[2]}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    CNI.mkdir()
    (CNI / "10-leicos.conflist").write_text(json.dumps(_conflist()))
    for chain in _CHAINS:
        run("iptables", "-t", "nat", "-A", chain, *_translation())


def down() -> None:
    """Take away what `up` made, in whatever state it is."""
    for chain in _CHAINS:
        while _succeeds("iptables", "-t", "nat", "-C", chain, *_translation()):
            run("iptables", "-t", "nat", "-D", chain, *_translation())
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        run("ip", "link", "delete", BRIDGE)


def refuse_if_taken() -> None:
    """Fail when the addresses are in use by something that is not ours."""
    if POD_CIDR.rpartition(".0.0")[0] + "." in run("ip", "-4", "-oneline", "address"):
        raise HarnessError(f"{POD_CIDR} is in use on this machine: `ip address` shows by what")


def _translation() -> tuple[str, ...]:
    match = ("-d", f"{KUBERNETES_SERVICE_IP}/32", "-p", "tcp", "--dport", "443")
    return (*match, "-j", "DNAT", "--to-destination", f"{HOST_IP}:{API_PORT}")


def _conflist() -> dict[str, object]:
    address = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(WORK / "cni-addresses"),
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "ipam": address}
    return {"cniVersion": "0.4.0", "name": "leicos", "plugins": [bridge]}


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
