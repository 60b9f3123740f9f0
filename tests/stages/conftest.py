"""A whole small run of the embedded backends, made once and shared: kills and isolation are judged against it."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.command_line import leicos
from helpers.identity import environment, forking_leicos

CONFIG = {
    "name": "kills",
    "source": {"task": "Lift the red cube up."},
    "plan": {"samples": 6, "workers": 2, "samples_per_worker": 1},
    "generate": {"backend": "mujoco", "frames": 24, "width": 128, "height": 96, "settings": {"defect_share": 0.0}},
    "gate": {"checks": ["start-frame"], "start_psnr_min": 10},
    # without kinematics: the search for a camera takes longer than the steps
    "idm": {"settings": {"steps": 30, "head_steps": 20, "checkpoint_every": 5, "threads": 1, "kinematics": "off"}},
    "label": {"settings": {"threads": 1}},
    "curate": {
        "require_success": False,
        "accept_unproven": True,
        "tracking_error_deg_max": 1000,
        "limit_violation_share_max": 1.0,
    },
}


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # neither is imported here: Mesa's LLVM and Triton's do not bear each other in one process
    for name in ("mujoco", "torch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"THE WHOLE RUN WAS NOT TESTED: {name} is not installed")
    folder = tmp_path_factory.mktemp("kills")
    size = ("--width", "128", "--height", "96", "--workers", "1")
    assert leicos("record", folder / "demos.hdf5", *size, "--episodes", "5", "--seed", "1").returncode == 0
    CONFIG["source"]["files"] = [str(folder / "demos.hdf5")]
    path = folder / "kills.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


def start(config: Path, out: Path, log: Path, *options: str, **more: str) -> subprocess.Popen[bytes]:
    """`leicos run`; more: environment variables."""
    command = forking_leicos("run", str(config), "--out", str(out), "--workers", "2", *options)
    scratch = out.with_name("scratch")  # a killed run cannot tidy up
    scratch.mkdir(exist_ok=True)
    environ = environment({"PYTHONUNBUFFERED": "1", "TMPDIR": str(scratch), **more})
    with log.open("a") as stream:
        return subprocess.Popen(command, env=environ, stdout=stream, stderr=stream)


def finish(config: Path, out: Path, log: Path, **more: str) -> None:
    process = start(config, out, log, **more)
    assert process.wait(600) == 0, log.read_text()[-3000:]


def snapshot(out: Path) -> dict[str, object]:
    """What must be equal: all of meta/ (ids, tasks, lengths, statistics, provenance), parquet values, frames."""
    synthetic = out / "synthetic/latest"
    meta = [path for path in sorted((synthetic / "meta").rglob("*")) if path.is_file()]
    found: dict[str, object] = {path.relative_to(synthetic).as_posix(): path.read_text() for path in meta}
    for path in sorted(synthetic.rglob("*.parquet")):
        found[path.name] = pq.read_table(path).to_pydict()
    for path in sorted(synthetic.rglob("*.mp4")):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        found[path.name] = hash(np.stack(frames).tobytes())
    return found


@pytest.fixture(scope="session")
def undisturbed(config: Path) -> Path:
    """Root of a run that nothing disturbed."""
    out = config.parent / "undisturbed"
    finish(config, out, config.parent / "undisturbed.log")
    return out
