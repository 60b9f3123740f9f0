"""Starts and stops the whole cluster on this machine, in order, once at a time.

One machine has one bridge, one set of ports and one tree of cgroups, so a lock
admits one cluster. A run that was killed leaves its parts behind; the next start
clears them away first.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from . import argo, control_plane, images, kernel, network, node, object_store, oci, parts, processes
from .object_store import ObjectStore
from .places import BRIDGE, HOST_IP, LOCK, NAMESPACE, STATE, WORK

_CONTROL_PLANE = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")


@contextmanager
def locked(shared: bool = False) -> Iterator[None]:
    """Hold the machine: alone to start or stop a cluster, shared to use a kept one."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            parts.say("another test run has a cluster on this machine; waiting for it")
            fcntl.flock(file, kind)
        yield


def up() -> ObjectStore:
    """Bring the machine from nothing to a cluster with S3 and Argo; on failure nothing is left running."""
    parts.provide()
    down()
    network.refuse_if_taken()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    try:
        kernel.remember()
        network.up()
        control_plane.up()
        node.start_containerd()
        load(images.pause(node.PAUSE_IMAGE))
        node.start_kubelet()
        store = object_store.up(NAMESPACE)
        argo.up(store, load(images.executor()))
    except BaseException:
        down()
        raise
    return store


def keep(store: ObjectStore) -> None:
    """Remember a cluster for later processes: they use it and leave it running."""
    STATE.write_text(json.dumps(asdict(store)))


def found() -> ObjectStore | None:
    """The store of a kept cluster, if one is running."""
    try:
        store = ObjectStore(**json.loads(STATE.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return (
        store
        if all(
            processes.running(name)
            for name in (*_CONTROL_PLANE, "containerd", "kubelet", "weed", "workflow-controller")
        )
        else None
    )


def down() -> None:
    """Stop everything, whatever of it runs; nothing happens on a clean machine."""
    STATE.unlink(missing_ok=True)
    processes.stop("workflow-controller")
    node.down()
    for name in _CONTROL_PLANE:
        processes.stop(name)
    object_store.down()
    network.down()
    kernel.put_back()
    images.tidy()


def load(archive: Path) -> str:
    """Import an image into containerd unless that very image is there, and return its name."""
    name, digest = oci.identify(archive)
    if _images().get(name) != digest:
        node.ctr("images", "import", archive)
        _forget_replaced()
    return name


def _images() -> dict[str, str]:
    """Reference -> digest of containerd's images."""
    lines = [line.split() for line in node.ctr("images", "ls").splitlines()[1:]]
    return {fields[0]: fields[2] for fields in lines}


def _forget_replaced() -> None:
    """What had a name and has lost it to a newer build stays under its digest: gigabytes, after some changes."""
    images = _images()
    named = {digest for name, digest in images.items() if not name.startswith("sha256:")}
    if replaced := [name for name, digest in images.items() if digest not in named]:
        node.ctr("images", "rm", *replaced)


def leftovers() -> list[str]:
    """What a `down` should have removed and did not."""
    found = [f"process {path.name}" for path in processes.PIDS.glob("*") if processes.running(path.name)]
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        found.append(f"network bridge {BRIDGE}")
    with suppress(processes.HarnessError):
        found += [f"iptables {line}" for line in processes.run("iptables-save").splitlines() if f"{HOST_IP}:" in line]
    return found + node.leftovers()
