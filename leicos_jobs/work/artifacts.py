"""Trained artifacts: fetched for a backend, or taken over from a URI that the configuration names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import inputs
from leicos_jobs.run.config import GenerateConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.store import open_store

HELD_OUT = "held_out"
"""Labels of the real held-out demos lie beside an artifact's files but are not part of it."""


def fetch_artifact(results: Results, stage: str, scratch: Path) -> Path | None:
    """The artifact that a training stage published, as a local folder; None if that stage made none.

    Raises DamageError.
    """
    record = results.current(stage)
    return fetch_folder(results.run, record, scratch) if record else None


def import_artifact(run: Run, uri: str, folder: Path) -> None:
    """Copy an existing artifact (a folder or s3:// prefix) into `folder`. Raises InputError if there is none, or if it
    is another one than the run began with."""
    store = open_store(uri)
    keys = [key for key in store.list("") if not key.startswith(f"{HELD_OUT}/")]
    if not keys:
        raise InputError(f"no artifact at {uri}", fix="name the folder that holds the checkpoint's files")
    for key in keys:
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.fetch(key, folder / ".download"), target)
    shutil.rmtree(folder / ".download", ignore_errors=True)
    inputs.require_same(uri, inputs.of_folder(uri), run.inputs[uri])


def check_geometry(folder: Path, config: GenerateConfig) -> None:
    """Refuse an IDM artifact whose artifact.json states another size than the generator's videos will have.

    Raises InputError.
    """
    path = folder / "artifact.json"
    try:
        found = json.loads(path.read_text()).get("geometry") if path.is_file() else None
    except (ValueError, RecursionError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}", fix="copy or train the model again") from error
    if found is not None:
        _require_size(found, config, f"the IDM in {folder} was trained on")


def check_dataset(folder: Path, camera: str, config: GenerateConfig) -> None:
    """The same for a dataset that an IDM is about to be trained on. Raises InputError."""
    from leicos_jobs.formats.lerobot_read import Dataset  # brings pyarrow, which a worker with nothing to do can spare

    height, width, _ = Dataset(folder).info["features"][f"observation.images.{camera}"]["shape"]
    _require_size([width, height], config, "the IDM will be trained on the dataset's")


def _require_size(found: Sequence[int], config: GenerateConfig, whose: str) -> None:
    """A network that is fed pictures of another size answers all the same, wrongly."""
    if list(found) != [config.width, config.height]:
        width, height = found
        raise InputError(
            f"generate.width, generate.height: the generator makes videos of {config.width}x{config.height}, and "
            f"{whose} {width}x{height}",
            fix=f"set them to {width} and {height}, or give an IDM for the generator's size by idm.checkpoint",
        )


def artifact_digest(folder: Path) -> str:
    """Digest of an artifact: its files' names and bytes."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return digest_of({name.as_posix(): sha256_file(path) for name, path in files.items() if name.parts[0] != HELD_OUT})
