"""The configuration that `leicos run --source` and `leicos init` start from, fitted to what is in the recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.leisaac_probe import probe
from leicos_jobs.run.config import GenerateConfig, PlanConfig, ReplayConfig, RunConfig, SourceConfig

RECORDER = "leicos-mujoco"
"""What `leicos record` writes as env_args.env_name."""


def config_for(sources: Sequence[Path], task: str | None, camera: str = "front") -> RunConfig:
    """A configuration for these recordings: generate/mujoco for what our scene recorded, else generate/echo.

    Raises InputError if there is no usable demo or no task text.
    """
    if not task:
        raise InputError("the task text is missing", fix='add --task "Lift the red cube up."')
    ours, sizes, demos = True, set(), 0
    for path in sources:
        probe(path)
        with Recording(path) as recording:
            ours = ours and recording.env_name.startswith(RECORDER)
            for demo in recording.demos((camera,)):
                if demo.problem is None and demo.success:
                    demos += 1
                    sizes.add(demo.camera_sizes[camera])
    if not demos:
        raise InputError(
            f"{', '.join(map(str, sources))}: no successful demo with camera {camera!r}",
            fix="look at `leicos inspect FILE`",
        )
    if len(sizes) > 1:
        raise InputError(f"the demos have different image sizes: {sorted(sizes)}", fix="give one file at a time")
    width, height = sizes.pop()
    name = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:40].strip("-") or "leicos"
    backend = "mujoco" if ours else "echo"
    return RunConfig(
        name=name,
        source=SourceConfig(files=tuple(str(path.resolve()) for path in sources), task=task, camera=camera),
        plan=PlanConfig(samples=max(demos, 48) if ours else demos),
        generate=GenerateConfig(backend=backend, width=width, height=height),
        replay=ReplayConfig(),
    )
