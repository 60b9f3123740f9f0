"""Builds the wheel and installs it with each extra into a fresh environment, as a user would: pip alone, no sources.

`python .ci/wheels.py [EXTRA...]`; without names all extras. torch brings CUDA on Linux, 5 GB: it takes a while.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
USES = {
    "": ["leicos --version", "leicos doctor", "leicos explain disk-full", "leicos render", "leicos config --schema"],
    "torch": ["python -c 'import leicos_jobs.backends.compact.train'"],
    "mujoco": ["leicos record demos.hdf5 --episodes 1 --width 64 --height 48 --workers 1", "leicos inspect demos.hdf5"],
    "physx": ["python -c 'import ovphysx'"],
    "report": ["python -c 'import leicos_jobs.judge.plots'"],
    "rerun": ["python -c 'import rerun'"],
    "workflows": ["leicos lint"],
    "cluster": ["python -c 'import leicos_jobs.cluster.workflows, kubernetes'"],
    "cosmos": ["python -c 'import leicos_jobs.backends.cosmos.pipeline'"],
    "local": ["leicos doctor"],
}
"""What must work with each extra; `dev` and `docs` are for this repository alone."""


def build(folder: Path) -> Path:
    """The wheel. Raises CalledProcessError."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, extra: str, folder: Path) -> None:
    """Install it with an extra, look for what does not fit, and use it. Raises CalledProcessError."""
    place = folder / (extra or "base")
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    wanted = f"{wheel}[{extra}]" if extra else str(wheel)
    subprocess.run([python, "-m", "pip", "install", "-q", wanted], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    environ = os.environ | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "MUJOCO_GL": "egl"}
    for command in [*USES[""], *USES[extra]]:
        subprocess.run(["bash", "-ec", command], cwd=place, env=environ, check=True, stdout=subprocess.DEVNULL)


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    chosen = arguments or ["", *(name for name in extras if name not in ("dev", "docs"))]
    with tempfile.TemporaryDirectory(prefix="leicos-wheels-") as name:
        wheel = build(Path(name))
        for extra in chosen:
            install(wheel, extra, Path(name))
            print(f"{wheel.name}{f'[{extra}]' if extra else ''}: installed and used", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
