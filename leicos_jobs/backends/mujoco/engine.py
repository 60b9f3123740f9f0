"""mujoco itself, or a sentence that says what to install. The package's modules take it from here."""

from __future__ import annotations

import os

from leicos_jobs.core.errors import InputError

try:
    import mujoco
except ImportError as error:
    raise InputError(f"MuJoCo is not installed: {error}", fix="pip install 'leicos[mujoco]'") from error
except AttributeError as error:  # what PyOpenGL says where it finds no library
    raise InputError(
        f"MUJOCO_GL={os.environ.get('MUJOCO_GL')}: the library is missing ({error})",
        fix="apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri",
    ) from error

__all__ = ["mujoco"]
