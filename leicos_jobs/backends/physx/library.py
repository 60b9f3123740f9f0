"""The library ovphysx: found, its licence accepted, one scene opened per process, its columns read and written.

A process gets one scene: the library keeps global state, and opening takes seconds. State goes through tensor bindings,
which ovphysx deprecates for sessions of reads and writes. With sessions a control step took 4.6 ms here, with bindings
0.44 (docs/measured.md): the replay would be slower than ten times real time. ovphysx is pinned to the build that this
was written against.
"""

from __future__ import annotations

import os
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.core.errors import DefectError, InputError

LICENCE, LICENCE_ENV = "LicenseRef-NVIDIA-Omniverse", "LEICOS_ACCEPT_PHYSX_LICENCE"
SCHEMAS = ("PhysxSchema", "OmniUsdPhysicsDeformableSchema")

F32 = NDArray[np.float32]


def require_licence(accepted: bool) -> None:
    """Raises InputError unless the user accepted the licence, by the setting or by the environment: never we."""
    if not accepted and os.environ.get(LICENCE_ENV) != "Y":
        raise InputError(
            f"the licence of ovphysx ({LICENCE}) is not accepted",
            fix=f"read it (ovphysx-*.dist-info/licenses), then replay.settings.accept_licence: true or {LICENCE_ENV}=Y",
        )


class Column:
    """One quantity of some bodies: a float32 array that is read from and written to the engine."""

    def __init__(self, binding: Any) -> None:
        self._binding = binding
        self._array: F32 = np.zeros(tuple(binding.shape), dtype=np.float32)

    def read(self) -> F32:
        """A copy of the values now, shape of the binding."""
        self._binding.read(self._array)
        return self._array.copy()

    def write(self, values: NDArray[np.floating]) -> None:
        """Set all values; any shape of as many numbers."""
        self._array[...] = np.asarray(values, dtype=np.float32).reshape(self._array.shape)
        self._binding.write(self._array)

    @property
    def joints(self) -> list[str]:
        """Names of an articulation's joints, in the order of its columns."""
        return list(self._binding.dof_names)

    @property
    def links(self) -> list[str]:
        """Names of an articulation's links, in the order of its rows."""
        return list(self._binding.body_names)

    @property
    def fixed(self) -> bool:
        """Whether an articulation's base stands still."""
        return bool(self._binding.is_fixed_base)


class Scene:
    """The scene of this process."""

    def __init__(self, path: Path) -> None:
        """path: USD file. Raises InputError: ovphysx or its schemas are not installed, or it cannot open the file."""
        self._library, stage_library, schemas = _load()
        keys = self._library.GlobalConfigKey
        self._library.set_global_config(keys.CPU_ONLY, True)
        self._library.set_global_config(keys.NUM_THREADS, 0)  # on the calling thread: one arm is too little to share
        self._library.set_global_config(keys.LOG_LEVEL, self._library.LogLevel.ERROR)
        self._physx: Any = self._library.PhysX()
        stage_library.population.register_usd_schemas(schemas)
        self._stage: Any = stage_library.Stage("leicos")
        try:
            stage_library.population.open_usd(
                self._stage, str(path), ordinal=1, domains=stage_library.PopulationDomain.ALL
            )
        except stage_library.OvstageError as error:
            raise InputError(
                f"{path} cannot be opened: {error}", fix="correct the layer of replay.settings.arm"
            ) from None
        self._stage.advance_write_floor(ordinal=1).wait()
        self._physx.wait_task(self._physx.attach_ovstage(self._stage, read_ordinal=1))
        self._physx.warmup()
        self._physx.wait_all()

    def column(self, pattern: str, kind: str) -> Column:
        """The quantity `kind` (a name of ovphysx' TensorType) of the prims of a pattern. Raises DefectError: none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            binding = self._physx.create_tensor_binding(pattern, tensor_type=self._library.TensorType[kind])
        if not binding.count:
            raise DefectError(f"PhysX knows no {kind} of {pattern}")
        return Column(binding)

    def step(self, seconds: float) -> None:
        """Advance by one physics step."""
        self._physx.step_sync(seconds)


def _load() -> tuple[Any, Any, list[str]]:
    """ovphysx, ovstage and the folders of their USD schemas."""
    try:
        import ovphysx
        import ovstage

        package = distribution("physx-usd-schemas")
    except (ImportError, OSError, PackageNotFoundError) as error:
        raise InputError(
            f"PhysX is not installed: {error}",
            fix="pip install 'leicos[physx]' (Linux on x86-64, glibc 2.35 or newer), "
            "apt-get install libgl1 libopengl0 libx11-6",
        ) from error
    folders = [str(package.locate_file(f"physx_usd_schemas/{name}/resources")) for name in SCHEMAS]
    return ovphysx, ovstage, [*folders, str(ovphysx.newton_schema_root())]
