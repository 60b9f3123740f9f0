"""The configuration that `leicos run --source` and `leicos init` start from, fitted to what is in the recording."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.backends.mujoco.poses import CUBE_POSE
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.leisaac_probe import probe
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing
from leicos_jobs.run.config import (
    CurateConfig,
    GenerateConfig,
    PlanConfig,
    ReplayConfig,
    RunConfig,
    SourceConfig,
    SplitConfig,
)

RECORDER = "leicos-mujoco"
"""What `leicos record` writes as env_args.env_name."""
TASK = "LiftCube"
"""In the names of the environments that replay/mujoco has: ours, and LeIsaac's LeIsaac-SO101-LiftCube-v0."""
VIDEOS = 48
"""Of our own scene, at least: enough to see success rates."""


@dataclass
class _Found:
    """What the usable demos of all recordings have in common.

    ours: recorded by `leicos record`. liftable: replay/mujoco can tell whether their task is done. frames: dataset rows
    of the longest.
    """

    ours: bool = True
    liftable: bool = True
    demos: int = 0
    frames: int = 0
    sizes: frozenset[tuple[int, int]] = frozenset()


def config_for(sources: Sequence[Path], task: str | None, camera: str = "front") -> RunConfig:
    """A configuration for these recordings: generate/mujoco for what our scene recorded, else generate/echo of the
    demos that the IDM does not train on, as long as the longest of all. A task that replay/mujoco has no rule for is
    replayed without one.

    Raises InputError if there is no usable demo or no task text.
    """
    if not task:
        raise InputError("the task text is missing", fix='add --task "Lift the red cube up."')
    found = _Found()
    for path in sources:
        probe(path)
        with Recording(path) as recording:
            _look(recording, camera, found)
    if not found.demos:
        raise InputError(
            f"{', '.join(map(str, sources))}: no successful demo with camera {camera!r}",
            fix="look at `leicos inspect FILE`",
        )
    if len(found.sizes) > 1:
        raise InputError(f"the demos have different image sizes: {sorted(found.sizes)}", fix="give one file at a time")
    ((width, height),) = found.sizes
    name = re.sub(r"[^a-z0-9]+", "-", task.lower()).strip("-")[:40].strip("-") or "leicos"
    if found.ours:
        plan = PlanConfig(samples=max(found.demos, VIDEOS))
        generate = GenerateConfig(backend="mujoco", width=width, height=height)
    else:
        held_out = min(math.ceil(SplitConfig().held_out_share * found.demos), found.demos - 1)
        plan = PlanConfig(samples=max(1, held_out), held_out_share=1.0)
        generate = GenerateConfig(backend="echo", width=width, height=height, frames=found.frames)
    return RunConfig(
        name=name,
        source=SourceConfig(files=tuple(str(path.resolve()) for path in sources), task=task, camera=camera),
        plan=plan,
        generate=generate,
        replay=ReplayConfig() if found.liftable else ReplayConfig(settings={"task": "none"}),
        curate=CurateConfig(require_success=found.liftable),
    )


def _look(recording: Recording, camera: str, found: _Found) -> None:
    """Add one recording's usable demos."""
    usable = [demo for demo in recording.demos((camera,)) if demo.problem is None and demo.success]
    if not usable:
        return
    ours = recording.env_name.startswith(RECORDER)
    found.ours = found.ours and ours
    found.liftable = (
        found.liftable and TASK in recording.env_name and all(CUBE_POSE in demo.state_at(0) for demo in usable)
    )
    found.demos += len(usable)
    found.sizes |= {demo.camera_sizes[camera] for demo in usable}
    if not ours:  # finding the frame rate reads the images
        timing = max(usable, key=lambda demo: demo.rows).timing(camera, TimeBase())
        found.frames = max(found.frames, timing.frames if isinstance(timing, Timing) else GenerateConfig().frames, 6)
