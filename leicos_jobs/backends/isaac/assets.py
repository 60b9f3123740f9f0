"""LeIsaac's scene assets: not in its repository, fetched once into the model cache, checked by digest.

Names, releases and digests from docs/decisions/leisaac.md 4.3. They are LeIsaac's and Lightwheel's, and never part of
an image of ours.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from leicos_jobs.core import logs
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import ExitCode, InputError, LeicosError, RetryError, writing

RELEASES = "https://github.com/LightwheelAI/leisaac/releases/download"


@dataclass(frozen=True)
class Asset:
    """One file of a release. place: folder below the assets root that it, or its content, belongs into."""

    release: str
    file: str
    sha256: str
    place: str

    @property
    def url(self) -> str:
        """Where it is published."""
        return f"{RELEASES}/{self.release}/{self.file}"


ROBOT = Asset(
    "v0.1.0", "so101_follower.usd", "64a877c3b82cdc4a48ab8a1f321a2dd3ef7c55d4b10bce222b58c530d978ae58", "robots"
)
SCENES = {
    "LiftCube": Asset(
        "v0.1.2", "table_with_cube.zip", "917c66a724019d235cc9f442a30ae72e5663b44ef4ed8d4d5324e549e11952b7", "scenes"
    ),
    "PickOrange": Asset(
        "v0.1.0",
        "kitchen_with_orange.zip",
        "d314c54b63a17e91402bfaddf26e21ff614adf2430fa092b78897f15b8adea34",
        "scenes",
    ),
}
"""By the part of a task's id that names it; other tasks' scenes must be placed by hand."""


def scene_of(task: str) -> Asset | None:
    """A task's scene, None if its digest is not known here."""
    return next((asset for name, asset in SCENES.items() if name in task), None)


def assets_of(task: str) -> list[Asset]:
    """What a task needs, as far as its digests are known."""
    scene = scene_of(task)
    return [ROBOT] if scene is None else [ROBOT, scene]


def missing(task: str, root: Path) -> list[str]:
    """Files of a task's assets that are not under `root`."""
    wanted = [_marker(asset, root) for asset in assets_of(task)]
    return [str(path) for path in wanted if not path.exists()]


def fetch_assets(task: str, root: Path, scratch: Path) -> int:
    """Download, check and unpack what is missing; returns how many.

    Raises RetryError, InputError (another digest, a task whose scene is not known, a place that cannot be written to).
    """
    if scene_of(task) is None:
        raise InputError(
            f"the scene of task {task!r} is not known here, only those of {', '.join(SCENES)}",
            fix=f"put LeIsaac's scene for it under {root / 'scenes'} by hand, and fetch one of these for the robot",
        )
    fetched = 0
    for asset in assets_of(task):
        if _marker(asset, root).exists():
            continue
        path = scratch / asset.file
        _download(asset, path)
        install(asset, path, root)
        fetched += 1
        logs.event("isaac.asset", file=asset.file)
    return fetched


def _download(asset: Asset, path: Path) -> None:
    """A connection that is cut ends like a short file: told by the length, or a changed file would be suspected."""
    try:
        with urllib.request.urlopen(asset.url, timeout=60) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
            promised = int(source.headers.get("Content-Length") or 0)
    except (OSError, HTTPException) as error:
        raise RetryError(f"{asset.url}: {error}", fix="check that this pod may reach it") from None
    size = path.stat().st_size
    if size < promised:
        raise RetryError(f"{asset.url}: {size} of {promised} bytes came", fix="start again")


def install(asset: Asset, path: Path, root: Path) -> None:
    """Put a downloaded file into place. Raises InputError if it is not the one that is known, or has no place."""
    found = sha256_file(path)
    if found != asset.sha256:
        raise InputError(
            f"{path} has sha256 {found}, not {asset.sha256}", fix="it was changed: check where it came from"
        )
    with writing(root):
        _place(asset, path, root)


def _place(asset: Asset, path: Path, root: Path) -> None:
    folder = root / asset.place
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".zip":
        shutil.copyfile(path, folder / (asset.file + ".partial"))
        (folder / (asset.file + ".partial")).replace(folder / asset.file)
        return
    if (folder / path.stem).exists() and any((folder / path.stem).iterdir()):
        raise InputError(f"{folder / path.stem} is there, but has no scene.usd", fix="remove it and fetch again")
    unpacked = root / f".{path.stem}.partial"
    shutil.rmtree(unpacked, ignore_errors=True)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    inner = unpacked / path.stem if (unpacked / path.stem).is_dir() else unpacked
    inner.replace(folder / path.stem)
    shutil.rmtree(unpacked, ignore_errors=True)


def _marker(asset: Asset, root: Path) -> Path:
    """The file by whose presence an asset counts as there."""
    if asset.file.endswith(".zip"):
        return root / asset.place / asset.file.removesuffix(".zip") / "scene.usd"
    return root / asset.place / asset.file


def main(arguments: list[str]) -> int:
    """Fetch a task's assets: TASK FOLDER. Returns an exit status of `ExitCode`."""
    if len(arguments) != 2:
        print("usage: python -m leicos_jobs.backends.isaac.assets TASK FOLDER", file=sys.stderr)
        return int(ExitCode.INPUT)
    try:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            fetch_assets(arguments[0], Path(arguments[1]), Path(name))
    except LeicosError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return int(ExitCode.DONE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
