"""Images for the pods, made on this machine: no image registry is reachable from it.

Dockerfiles take their base as a build argument; here it is `base()`, a Debian with
Python made by debootstrap. It carries this machine's certificate bundle and pip
settings, because a `pip install` in a build has to reach the package index the way
the machine itself does, perhaps through a proxy with a certificate of its own.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import oci
from .parts import kubernetes, say
from .places import ARGO, BUILDAH, IMAGES, SUITE
from .processes import run

_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")


def pause(name: str) -> Path:
    """The archive of the image whose only process keeps a pod's namespaces."""
    archive = IMAGES / f"pause-{kubernetes('pause').parent.name}.tar"
    if not archive.exists():
        oci.write_programs(archive, name, {"/pause": kubernetes("pause")}, {"Entrypoint": ["/pause"], "User": "65535"})
    return archive


def executor() -> Path:
    """The archive of Argo's executor image, made from the binary that a person provided."""
    program = ARGO / "argoexec"
    with program.open("rb") as file:
        tag = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    archive = IMAGES / f"argoexec-{tag}.tar"
    if not archive.exists():
        config = {"Entrypoint": ["/bin/argoexec"], "User": "8737", "Env": ["PATH=/bin"]}
        oci.write_programs(archive, f"localhost/leicos-argoexec:{tag}", {"/bin/argoexec": program}, config)
    return archive


def base() -> tuple[str, Path]:
    """Name and archive of the base image: Debian with Python, its own pip settings and certificates."""
    pip = _pip_settings()
    key = hashlib.sha256(repr((SUITE, _PACKAGES, pip)).encode() + _CERTIFICATES.read_bytes()).hexdigest()[:12]
    name, archive = f"localhost/leicos-base:{SUITE}-{key}", IMAGES / f"base-{SUITE}-{key}.tar"
    if not archive.exists():
        say("making the base image (once; about a minute)")
        root = IMAGES / "base.root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", SUITE, root)
        for waste in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / waste)
            (root / waste / "partial").mkdir(parents=True)
        shutil.copyfile(_CERTIFICATES, root / _CERTIFICATES.relative_to("/"))
        (root / "etc/pip.conf").write_text(pip)
        oci.write(archive, name, root, {"Cmd": ["/bin/bash"], "Env": [_PATH]})
        shutil.rmtree(root)
    if subprocess.run(_buildah("inspect", "--type", "image", name), capture_output=True, check=False).returncode:
        run(*_buildah("pull", f"oci-archive:{archive}"))
    return name, archive


def build(context: Path, dockerfile: Path, tag: str, arguments: Mapping[str, str]) -> Path:
    """Build a Dockerfile and return its archive; unchanged layers come from the last build."""
    slug = tag.replace("/", "_").replace(":", "_")
    archive, identity = IMAGES / f"built-{slug}.tar", IMAGES / f"built-{slug}.id"
    new_identity = identity.with_suffix(".new")
    _bud(context, dockerfile, tag, arguments, f"--iidfile={new_identity}")
    if not archive.exists() or not identity.exists() or identity.read_text() != new_identity.read_text():
        archive.unlink(missing_ok=True)
        # The archive does not travel: to compress gigabytes takes a minute, and to unpack them a quarter of it.
        run(*_buildah("push", "--disable-compression", tag, f"oci-archive:{archive}:{tag}"))
        if identity.exists():  # gigabytes a change of the code otherwise; refused where another image builds on it
            subprocess.run(_buildah("rmi", identity.read_text().strip()), capture_output=True, check=False)
        new_identity.replace(identity)
    return archive


def build_stage(context: Path, dockerfile: Path, stage: str, tag: str, arguments: Mapping[str, str]) -> str:
    """Build one stage of a Dockerfile to build on, not to run, and return its name."""
    _bud(context, dockerfile, tag, arguments, f"--target={stage}")
    return tag


def _bud(context: Path, dockerfile: Path, tag: str, arguments: Mapping[str, str], *options: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    wheels = [f"--volume={folder}:{folder}:ro" for folder in _wheel_folders()]
    always = ("--isolation=chroot", "--layers", "--pull=false", f"--tag={tag}", f"--file={dockerfile}")
    run(*_buildah("bud", *always, *options, *given, *wheels, context))


def tidy() -> None:
    """Drop what a killed build left: its container stays mounted otherwise."""
    if (BUILDAH / "root").exists():
        run(*_buildah("rm", "--all"))


def _buildah(command: str, *arguments: str | Path) -> tuple[str, ...]:
    # Without skip_mount_home buildah mounts its own folder onto itself, and leaves it so.
    driver = ("--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true")
    store = ("--root", str(BUILDAH / "root"), "--runroot", str(BUILDAH / "run"), *driver)
    return ("buildah", *store, command, *(str(part) for part in arguments))


def _pip_settings() -> str:
    """This machine's pip settings, the environment over the files as pip has it, as one pip.conf."""
    files = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
    read = configparser.RawConfigParser()
    read.read([Path(file).expanduser() for file in files])
    settings = dict(read.items("global")) if read.has_section("global") else {}
    for variable, value in os.environ.items():
        if variable.startswith("PIP_") and variable != "PIP_CONFIG_FILE":
            settings[variable.removeprefix("PIP_").lower().replace("_", "-")] = value
    if not _wheel_folders():
        settings.pop("find-links", None)
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in sorted(settings.items())), ""])


def _wheel_folders() -> list[Path]:
    """Local folders with wheels that pip is told of; a build mounts them."""
    named = [Path(part) for part in os.environ.get("PIP_FIND_LINKS", "").split()]
    return [folder for folder in named if folder.is_dir() and any(folder.iterdir())]
