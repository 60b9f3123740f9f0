"""Writes and reads OCI archives: images from a plain folder, without an image builder.

Made for three images that no Dockerfile describes well: the pause image, Argo's
executor, and the Debian base. One layer, uncompressed: the archive never travels.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .processes import run

_NAME = "org.opencontainers.image.ref.name"
_MEDIA = "application/vnd.oci.image"


def write(archive: Path, name: str, root: Path, config: Mapping[str, object]) -> None:
    """Pack a folder as the root file system of an image; the archive appears when it is whole."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    layer = archive.with_suffix(".layer")
    run("tar", "--numeric-owner", "--sort=name", "--mtime=@0", "-C", root, "-cf", layer, ".")
    digest = _sha256(layer)
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w") as out:
        configuration = _json(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": dict(config),
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created_by": "leicos test harness"}],  # buildah refuses to build on a layer without
            }
        )
        described = {"mediaType": f"{_MEDIA}.layer.v1.tar", "digest": f"sha256:{digest}", "size": layer.stat().st_size}
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": f"{_MEDIA}.manifest.v1+json",
                "config": _describe(configuration, f"{_MEDIA}.config.v1+json"),
                "layers": [described],
            }
        )
        entry = {**_describe(manifest, f"{_MEDIA}.manifest.v1+json"), "annotations": {_NAME: name}}
        out.add(layer, f"blobs/sha256/{digest}")
        for blob in (configuration, manifest):
            _add(out, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        _add(out, "index.json", _json({"schemaVersion": 2, "manifests": [entry]}))
        _add(out, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    partial.rename(archive)
    layer.unlink()


def write_programs(archive: Path, name: str, programs: Mapping[str, Path], config: Mapping[str, object]) -> None:
    """Pack static programs, each under a path of its own, as an image from scratch."""
    root = archive.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    for target, source in programs.items():
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(0o755)
    write(archive, name, root, config)
    shutil.rmtree(root)


def identify(archive: Path) -> tuple[str, str]:
    """The name and the manifest's digest of an archive's one image."""
    with tarfile.open(archive) as opened:
        manifest = _manifest(opened)
    return str(manifest["annotations"][_NAME]), str(manifest["digest"])


def labels(archive: Path) -> dict[str, str]:
    """The labels of an archive's one image."""
    with tarfile.open(archive) as opened:
        manifest = _read(opened, _blob(_manifest(opened)))
        found: dict[str, str] = _read(opened, _blob(manifest["config"]))["config"]["Labels"]
    return found


def _manifest(opened: tarfile.TarFile) -> dict[str, Any]:
    found: dict[str, Any] = _read(opened, "index.json")["manifests"][0]
    return found


def _blob(described: Mapping[str, Any]) -> str:
    return f"blobs/{described['digest'].replace(':', '/')}"


def _read(opened: tarfile.TarFile, name: str) -> Any:
    member = next(found for found in opened if found.name.removeprefix("./") == name)
    read = opened.extractfile(member)
    assert read is not None
    return json.load(read)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _describe(blob: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}", "size": len(blob)}


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    out.addfile(member, io.BytesIO(content))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
