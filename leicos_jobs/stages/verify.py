"""verify: a backend against its upstream, for those who have the hardware and the weights. It prints a verdict."""

from __future__ import annotations

import json
from pathlib import Path

from leicos_jobs.core.errors import DefectError, InputError


def verify(backend: str, checkout: Path | None, checkpoint: Path | None, sample: Path | None) -> None:
    """Print what was checked. sample: a video (gr00t-dreams), a clip (cosmos) or an HDF5 recording (isaac).

    Raises InputError for what is missing, DefectError if the backend does not agree with its upstream.
    """
    passed = {"gr00t-dreams": _gr00t, "cosmos": _cosmos, "isaac": _isaac}[backend](checkout, checkpoint, sample)
    if not passed:
        raise DefectError(f"{backend} does not work here as its upstream does; see above")


def _needed(path: Path | None, option: str) -> Path:
    if path is None:
        raise InputError(f"{option} is missing", fix=f"give {option} PATH")
    return path


def _gr00t(checkout: Path | None, checkpoint: Path | None, sample: Path | None) -> bool:
    from leicos_jobs.backends.gr00t_dreams.verify import verify as check

    found = check(_needed(checkout, "--checkout"), _needed(checkpoint, "--checkpoint"), _needed(sample, "--sample"))
    print(json.dumps(found.to_json(), indent=2))
    return found.passed


def _cosmos(checkout: Path | None, checkpoint: Path | None, sample: Path | None) -> bool:
    from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
    from leicos_jobs.backends.cosmos_predict25.verify import verify_cosmos

    settings = CosmosSettings() if checkout is None else CosmosSettings(checkout=str(checkout))
    found = verify_cosmos(settings, checkpoint, sample)
    print("\n".join(found.lines()))
    return found.passed


def _isaac(_checkout: Path | None, _checkpoint: Path | None, sample: Path | None) -> bool:
    from leicos_jobs.backends.isaac.settings import IsaacSettings
    from leicos_jobs.backends.isaac.verify import verify_isaac

    found = verify_isaac(IsaacSettings(), sample)
    print("\n".join(found.lines()))
    return found.passed
