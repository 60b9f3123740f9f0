"""Looks for what pip cannot install: libraries that render without a screen, and those that PhysX' USD is linked with.
`make` calls it after installing."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys

LIBRARIES = ("libEGL.so.1", "libGL.so.1", "libOpenGL.so.0", "libX11.so.6")
PACKAGES = ("libegl1", "libgl1", "libegl-mesa0", "libgl1-mesa-dri", "libopengl0", "libx11-6")


def missing() -> list[str]:
    """Shared libraries that cannot be loaded; nothing is looked for where there is no Linux."""
    lacking = []
    for name in LIBRARIES if sys.platform == "linux" else ():
        try:
            ctypes.CDLL(name)
        except OSError:
            lacking.append(name)
    return lacking


def main() -> int:
    """Install what is missing where that is plainly possible (root, apt-get), else say how. Returns an exit status."""
    lacking = missing()
    if not lacking:
        return 0
    command = ["apt-get", "install", "-y", "-qq", *PACKAGES]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"leicos: installing {', '.join(lacking)} with apt-get", file=sys.stderr)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
        subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL)
        if not missing():
            return 0
    print(f"leicos: {', '.join(lacking)} missing; run: sudo {' '.join(command)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
