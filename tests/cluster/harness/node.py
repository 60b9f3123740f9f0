"""containerd and the kubelet: the cluster's one node.

Stopping is the delicate half. The kubelet and containerd go, but containers are
children of their shims and outlive both, and so do mounts, network namespaces and
cgroups. `down` therefore works from what the system shows (cgroups, mounts,
processes), not from what containerd remembers: it also cleans up after a crash.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from .control_plane import KUBELET_CLIENT, NODE_KUBECONFIG
from .network import CNI
from .parts import kubectl, kubernetes
from .places import CACHE, CONTAINERD, HOST_IP, KUBECONFIG, NODE, RUN, WORK
from .processes import HarnessError, kill_all, run, start, stop, wait_until

PAUSE_IMAGE = "localhost/leicos-pause:1"
SOCKET = RUN / "containerd.sock"
_CGROUPS = Path("/sys/fs/cgroup")
_NETWORK_NAMESPACES = Path("/run/netns")
# What was there before us. Without it `down` touches neither cgroups nor network namespaces: a machine
# may be the node of a cluster that is not ours.
_BEFORE = WORK / "before.json"
_LOG_LINKS = Path("/var/log/containers")


def start_containerd() -> None:
    """Start containerd; images of an earlier run are still there."""
    RUN.mkdir(exist_ok=True)
    CONTAINERD.mkdir(parents=True, exist_ok=True)
    if _pod_cgroups():
        raise HarnessError("this machine is a Kubernetes node already: it has kubepods cgroups")
    _BEFORE.write_text(json.dumps({"network namespaces": _network_namespaces()}))
    config = WORK / "containerd.toml"
    config.write_text(_containerd_config())
    start("containerd", ["containerd", "--config", config])
    wait_until("containerd", _containerd_ready, 60, needs="containerd")


def start_kubelet() -> None:
    """Start the kubelet and wait until its node is ready."""
    (WORK / "resolv.conf").write_text("# pods have no name service: endpoints are addresses\n")
    config = WORK / "kubelet.json"
    config.write_text(json.dumps(_kubelet_config(), indent=1))
    command: list[str | Path] = [
        kubernetes("kubelet"),
        f"--config={config}",
        f"--kubeconfig={NODE_KUBECONFIG}",
        f"--root-dir={WORK / 'kubelet'}",
        f"--cert-dir={WORK / 'kubelet-pki'}",
        f"--hostname-override={NODE}",
        f"--node-ip={HOST_IP}",
    ]
    deadline = time.monotonic() + 120
    while True:
        start("kubelet", command)
        try:
            wait_until("node", _node_ready, deadline - time.monotonic(), needs="kubelet")
        except HarnessError:
            # It exits while containerd still reads its own state. A service manager would start it again.
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def ctr(*arguments: str | Path) -> str:
    """Containerd's own client, in the namespace that the kubelet uses."""
    return run("ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments)


def down() -> None:
    """End kubelet, pods and containerd, and remove what they leave behind."""
    stop("kubelet")
    if _BEFORE.exists():
        _kill_pods()
    if SOCKET.exists() and _containerd_ready():
        for task in ctr("tasks", "ls", "-q").split():
            _try("ctr", "--address", SOCKET, "--namespace", "k8s.io", "tasks", "rm", "--force", task)
        for container in ctr("containers", "ls", "-q").split():
            _try("ctr", "--address", SOCKET, "--namespace", "k8s.io", "containers", "rm", container)
    stop("containerd")
    kill_all(_shims())
    _unmount()
    if _BEFORE.exists():
        _remove_network_namespaces()
        _remove_cgroups()
    _remove_log_links()
    shutil.rmtree(RUN, ignore_errors=True)


def leftovers() -> list[str]:
    """What `down` should have removed and did not, for a person to read."""
    return [
        *(f"process {pid} (shim)" for pid in _shims()),
        *(f"mount {mount}" for mount in _mounts()),
        *(f"cgroup {folder}" for folder in _pod_cgroups() if _BEFORE.exists()),
        *(f"network namespace {name}" for name in _our_network_namespaces() if _BEFORE.exists()),
    ]


def _containerd_config() -> str:
    # restrict_oom_score_adj: where root lacks CAP_SYS_RESOURCE every sandbox dies without it, and runc
    # reports that as "can't get final child's PID from pipe: EOF".
    return f"""version = 2
root = "{CONTAINERD}"
state = "{RUN / "containerd"}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{CNI}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""


def _kubelet_config() -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST_IP,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(KUBELET_CLIENT)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,  # machines that still have cgroup v1 are refused by default
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "resolvConf": str(WORK / "resolv.conf"),
        "podLogsDir": str(WORK / "pod-logs"),
        "volumePluginDir": str(WORK / "volume-plugins"),
        "oomScoreAdj": 0,
        "maxPods": 250,
        # An image that is gone cannot be pulled again, so nothing may remove one: neither the collector of garbage nor
        # eviction for want of disk, which begins with every image that no container uses, the pause image among them.
        # A threshold that is not named here is off.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi"},
    }


def _containerd_ready() -> bool:
    try:
        ctr("version")
    except HarnessError:
        return False
    return True


def _node_ready() -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    try:
        return run(kubectl(), "--kubeconfig", KUBECONFIG, "get", "node", NODE, "-o", f"jsonpath={path}") == "True"
    except HarnessError:
        return False


def _pod_cgroups() -> list[Path]:
    """Every cgroup below kubepods, deepest first; cgroup v1 has a tree for each controller."""
    roots = [*_CGROUPS.glob("kubepods"), *_CGROUPS.glob("*/kubepods")]
    found = [folder for root in roots for folder in (root, *(path for path in root.rglob("*") if path.is_dir()))]
    return sorted(found, key=lambda folder: len(folder.parts), reverse=True)


def _kill_pods() -> None:
    """Empty the pods' cgroups first: with their processes dead the shims let go of everything else."""
    deadline = time.monotonic() + 20
    while (pids := _pod_processes()) and time.monotonic() < deadline:
        kill_all(pids)
        time.sleep(0.1)


def _pod_processes() -> set[int]:
    pids: set[int] = set()
    for folder in _pod_cgroups():
        try:
            pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
        except OSError:
            continue  # it went away while being read
    return pids


def _shims() -> list[int]:
    """Shims of our containerd that are still there: they name its socket in their arguments."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if arguments[0].endswith(b"containerd-shim-runc-v2") and str(SOCKET).encode() in arguments:
            found.append(int(entry.name))
    return found


def _mounts() -> list[str]:
    ours = (f"{CACHE}/", f"{RUN}/")  # not the work folder alone: a killed image build leaves one too
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((path for path in mounts if path.startswith(ours)), reverse=True)


def _unmount() -> None:
    for mount in _mounts():
        _try("umount", "--lazy", mount)


def _network_namespaces() -> list[str]:
    return sorted(path.name for path in _NETWORK_NAMESPACES.glob("cni-*"))


def _our_network_namespaces() -> list[str]:
    before = json.loads(_BEFORE.read_text())["network namespaces"]
    return [name for name in _network_namespaces() if name not in before]


def _remove_network_namespaces() -> None:
    for name in _our_network_namespaces():
        _try("umount", "--lazy", _NETWORK_NAMESPACES / name)
        (_NETWORK_NAMESPACES / name).unlink(missing_ok=True)


def _remove_cgroups() -> None:
    for folder in _pod_cgroups():
        try:
            folder.rmdir()
        except OSError:
            continue  # reported by the check after `down`, if it stays


def _remove_log_links() -> None:
    for link in _LOG_LINKS.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(str(WORK)):
            link.unlink()


def _try(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], capture_output=True, check=False)
