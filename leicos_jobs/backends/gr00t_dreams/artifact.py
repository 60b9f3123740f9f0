"""The trained IDM as one folder: weights, modality.json, stats.json, conf.yaml, and `artifact.json` that binds them.

The folder is also a checkpoint as upstream's dump script wants it. `artifact.json` is written last and names the digest
of every other file, what a video must be (size, rate, camera) and how windows are cut; the labeller refuses whatever
does not fit, because a network that is fed stretched pictures or other offsets answers all the same. Light: no torch.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.gr00t_dreams import configs
from leicos_jobs.backends.gr00t_dreams.settings import UPSTREAM
from leicos_jobs.core.digests import digest_of, is_sealed, sealed, sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.gr00t import modality
from leicos_jobs.robots.embodiment import Embodiment, from_reference

FORMAT = "leicos-gr00t-dreams-2"
DESCRIPTION = "artifact.json"
CONFIG = "config.json"
CONF = "experiment_cfg/conf.yaml"
METADATA = "experiment_cfg/metadata.json"
MODALITY = "modality.json"
STATS = "stats.json"
SEQUENCE = 112
"""Tokens of the image sequence, padding included; pad tokens are attended to, so their number is part of the function
(gr00t/model/transforms_idm.py, max_sequence_length)."""
RESAMPLE = 2
"""PIL filter of SigLIP 2's image processor: bilinear (preprocessor_config.json of the tower)."""


@dataclass(frozen=True)
class Description:
    """artifact.json, checked. geometry: (width, height) px of training videos. low, high: (width,) float32 of the
    training actions, motor units, between which the network's -1 ... 1 lies."""

    folder: Path
    robot: Embodiment
    camera: str
    geometry: tuple[int, int]
    fps: float
    frame_offsets: tuple[int, int]
    embodiment_id: int
    sequence: int
    crop: float
    resize: int
    resample: int
    vision: dict[str, Any] | None
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    digest: str


def publish(
    checkpoint: Path,
    out: Path,
    robot: Embodiment,
    camera: str,
    *,
    stats: dict[str, Any],
    geometry: tuple[int, int],
    fps: float,
    facts: dict[str, Any],
    vision: dict[str, Any] | None = None,
) -> Description:
    """Make the artifact from upstream's checkpoint folder (config.json, safetensors, experiment_cfg/) in `out`.

    stats: stats.json of the training data. facts: anything else worth keeping. vision: configuration of the vision
    tower, if it is not a known one. Raises InputError if conf.yaml or the statistics are not this robot's.
    """
    out.mkdir(parents=True, exist_ok=True)
    names = [CONFIG, *sorted(path.name for path in checkpoint.glob("model*.safetensors*"))]
    for name in names:
        shutil.copyfile(checkpoint / name, out / name)
    (out / CONF).parent.mkdir(exist_ok=True)
    (out / CONF).write_text(configs.conf_yaml(robot, (camera,)))
    if (checkpoint / METADATA).is_file():
        shutil.copyfile(checkpoint / METADATA, out / METADATA)
        _check_metadata(out / METADATA, robot, stats)
        names.append(METADATA)
    for name, value in ((MODALITY, modality(robot, (camera,))), (STATS, stats)):
        (out / name).write_text(json.dumps(value, indent=1) + "\n")
    files = {name: sha256_file(out / name) for name in sorted([*names, CONF, MODALITY, STATS])}
    description = {
        "facts": facts,
        "format": FORMAT,
        "upstream": UPSTREAM,
        "robot": robot.reference(),
        "joints": robot.action.feature_names,
        "units": "lerobot motor units",
        "camera": camera,
        "geometry": list(geometry),
        "fps": fps,
        "frame_offsets": list(configs.FRAME_OFFSETS),
        "action_offsets": list(range(configs.HORIZON)),
        "embodiment_tag": robot.gr00t.tag,
        "embodiment_id": robot.gr00t.id,
        "sequence": SEQUENCE,
        "image": {"crop": configs.CROP, "resize": configs.RESIZE, "resample": RESAMPLE},
        "vision": vision,
        "files": files,
    }
    partial = out / (DESCRIPTION + ".partial")
    partial.write_text(json.dumps(sealed(description), indent=1, sort_keys=True) + "\n")
    partial.rename(out / DESCRIPTION)
    return load(out)


def load(folder: Path, *, check_files: bool = True) -> Description:
    """Read and check an artifact. check_files: also compare every file with its digest (2.5 GB of weights: seconds).

    Raises InputError that names what does not fit.
    """
    path = folder / DESCRIPTION
    try:
        facts = json.loads(path.read_text())
        if facts["format"] != FORMAT:
            raise InputError(f"{path} has format {facts['format']!r}, not {FORMAT!r}", fix="train the model again")
        robot = from_reference(facts["robot"], str(path))
        _check_same(path, "upstream", facts["upstream"], UPSTREAM)
        _check_same(path, "joints", facts["joints"], robot.action.feature_names)
        _check_same(path, "frame_offsets", facts["frame_offsets"], list(configs.FRAME_OFFSETS))
        _check_same(path, "action_offsets", facts["action_offsets"], list(range(configs.HORIZON)))
        if not is_sealed(facts):
            raise InputError(f"{path} was changed after training", fix="copy or train the model again")
        if check_files:
            _check_files(folder, facts["files"])
        camera = str(facts["camera"])
        _check_same(folder / MODALITY, "content", _read(folder / MODALITY), modality(robot, (camera,)))
        action = _read(folder / STATS)["action"]
        low, high = (np.asarray(action[key], dtype=np.float32) for key in ("min", "max"))
        width = robot.action.width
        if low.shape != (width,) or high.shape != (width,) or not np.isfinite([low, high]).all():
            raise InputError(f"{folder / STATS}: action has not {width} finite limits", fix="train again")
        width, height = facts["geometry"]
        first, second = facts["frame_offsets"]
        return Description(
            folder=folder,
            robot=robot,
            camera=camera,
            geometry=(int(width), int(height)),
            fps=float(facts["fps"]),
            frame_offsets=(int(first), int(second)),
            embodiment_id=int(facts["embodiment_id"]),
            sequence=int(facts["sequence"]),
            crop=float(facts["image"]["crop"]),
            resize=int(facts["image"]["resize"]),
            resample=int(facts["image"]["resample"]),
            vision=facts["vision"],
            low=low,
            high=high,
            digest=digest_of(facts),
        )
    except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} does not describe a gr00t-dreams artifact: {error!r}", fix="give the folder that training wrote"
        ) from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, RecursionError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", fix="copy or train the model again") from error


def _check_same(path: Path, what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise InputError(
            f"{path}: {what} is {found!r}, this version labels with {wanted!r}",
            fix="label with the version that trained it, or train again",
        )


def _check_files(folder: Path, files: dict[str, str]) -> None:
    for name, digest in files.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(
                f"{folder / name} is not the file that {DESCRIPTION} describes", fix="copy or train the model again"
            )


def _check_metadata(path: Path, robot: Embodiment, stats: dict[str, Any]) -> None:
    """Upstream notes the statistics that it normalised with; other ones would give labels in a wrong scale."""
    found = _read(path).get(robot.gr00t.tag, {}).get("statistics", {}).get("action", {})
    for name, start, end in robot.modalities(robot.action):
        for key in ("min", "max"):
            theirs, ours = np.ravel(found.get(name, {}).get(key, [])), stats["action"][key][start:end]
            if theirs.shape != (end - start,) or not np.allclose(theirs, ours, rtol=1e-5, atol=1e-5):
                raise InputError(
                    f"{path}: {key} of {name} is {theirs.tolist()}, stats.json has {ours}",
                    fix="give the stats.json that this checkpoint was trained with",
                )
