"""Looks for what pip cannot install, and says how to get it."""

from __future__ import annotations

import ctypes.util
import sys


def missing() -> list[str]:
    """Sentences on what is missing for rendering without a screen; empty if all is there."""
    if sys.platform != "linux":
        return []
    lacking = [name for name in ("EGL", "GL") if ctypes.util.find_library(name) is None]
    if not lacking:
        return []
    packages = "libegl1 libgl1 libegl-mesa0 libgl1-mesa-dri"
    return [f"lib{' and lib'.join(lacking)} missing (software rendering): sudo apt-get install -y {packages}"]


if __name__ == "__main__":
    for sentence in missing():
        print(f"leicos: {sentence}", file=sys.stderr)
