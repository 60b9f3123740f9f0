"""The trained model as a folder: `artifact.json` says what it is, `model.pt` holds the weights.

`artifact.json` is written last and names the digests of the weights and of itself, so a folder that was cut short or
edited does not load. It states what a video must be (size, frame rate) and how numbers are to be read (robot, units,
order of joints); whoever brings something else is refused, because a model fed with a stretched picture answers all the
same.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from leicos_jobs.backends.compact.head import REACH, Head
from leicos_jobs.backends.compact.images import ImageSpec
from leicos_jobs.backends.compact.model import Encoder
from leicos_jobs.core.digests import is_sealed, sealed, sha256_file
from leicos_jobs.core.errors import InputError

F32 = NDArray[np.float32]
FORMAT = "leicos-compact-2"
WEIGHTS = "model.pt"
DESCRIPTION = "artifact.json"


@dataclass(frozen=True)
class Norms:
    """From the training set only. mean, std: (J,) of observation.state, motor units; step: (J,) std of
    action - state; pixel_mean, pixel_std: (3,) of RGB in 0..1."""

    mean: F32
    std: F32
    step: F32
    pixel_mean: F32
    pixel_std: F32


@dataclass(frozen=True)
class Artifact:
    """A loaded model. fps: of the training videos. facts: everything else in artifact.json."""

    encoder: Encoder
    head: Head
    spec: ImageSpec
    norms: Norms
    fps: float
    facts: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write weights, then the description that makes them count."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / WEIGHTS
        torch.save({"encoder": _cpu(self.encoder), "head": _cpu(self.head)}, weights)
        description = {
            **self.facts,
            "format": FORMAT,
            "weights_sha256": sha256_file(weights),
            "geometry": list(self.spec.source),
            "fps": self.fps,
            "image": asdict(self.spec),
            "guided": self.encoder.guided,
            "frame_offsets": [-REACH, REACH],
            "action_offset": 0,
            "normalisation": {name: value.tolist() for name, value in vars(self.norms).items()},
        }
        partial = folder / (DESCRIPTION + ".partial")
        partial.write_text(json.dumps(sealed(description), indent=1, sort_keys=True) + "\n")
        partial.rename(folder / DESCRIPTION)

    @classmethod
    def load(cls, folder: Path) -> Artifact:
        """Read a folder that `save` wrote. Raises InputError for anything else."""
        path = folder / DESCRIPTION
        try:
            facts = json.loads(path.read_text())
            if facts["format"] != FORMAT:
                raise InputError(f"{path} has format {facts['format']!r}, not {FORMAT!r}", fix="train the model again")
            if facts["frame_offsets"] != [-REACH, REACH]:
                raise InputError(
                    f"{path} was trained on frame offsets {facts['frame_offsets']}, not on {[-REACH, REACH]}",
                    fix="label with the version that trained it, or train again",
                )
            if not is_sealed(facts):
                raise InputError(f"{path} was changed after training", fix="copy or train the model again")
            spec = ImageSpec(**facts["image"])
            norms = Norms(**{name: np.array(value, np.float32) for name, value in facts["normalisation"].items()})
            recipe, joints, guided = facts["recipe"], len(facts["joints"]), facts["guided"]
            digest = facts["weights_sha256"]
        except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path} does not describe a compact model: {error!r}", fix="give the folder that training wrote"
            ) from error
        weights = folder / WEIGHTS
        if not weights.exists() or sha256_file(weights) != digest:
            raise InputError(f"{weights} is not the file that {path} describes", fix="copy or train the model again")
        encoder = Encoder(
            (spec.width, spec.height), recipe["channels"], recipe["blocks"], recipe["hidden"], joints, guided
        )
        head = Head(joints)
        state = torch.load(weights, map_location="cpu", weights_only=True)
        encoder.load_state_dict(state["encoder"])
        head.load_state_dict(state["head"])
        return cls(encoder.eval(), head.eval(), spec, norms, float(facts["fps"]), facts)


def _cpu(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
