"""The configuration that `leicos run --source` and `leicos init` start from, fitted to what is in the recording."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.backends.mujoco.poses import CUBE_POSE
from leicos_jobs.convert.choose_demos import Choice, camera_sizes, described_cameras, opened, survey
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import require_sentence
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.formats.leisaac_problems import fix_for
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing
from leicos_jobs.robots.data import DEFAULT
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
"""In the names of the environments that replay/mujoco has: ours, and LeIsaac's own."""
PIXELS = 16
"""Width and height of generated videos are multiples of it (generate.width)."""
VIDEOS = 48
"""Of our own scene, at least: enough to see success rates."""


@dataclass
class _Found:
    """What the usable demos of all recordings have in common.

    robot: name of the shipped robot whose tables they have. ours: recorded by `leicos record`. liftable:
    replay/mujoco can tell whether their task is done. frames: dataset rows of the longest.
    """

    robot: str = DEFAULT
    ours: bool = True
    liftable: bool = True
    demos: int = 0
    frames: int = 0
    sizes: frozenset[tuple[int, int]] = frozenset()


def config_for(
    sources: Sequence[Path], task: str | None, camera: str = "front", *, accept_unmarked: bool = False
) -> RunConfig:
    """A configuration for these recordings: generate/mujoco for what our scene recorded, else generate/echo of the
    demos that the IDM does not train on, as long as the longest of all. A task that replay/mujoco has no rule for is
    replayed without one.

    Raises InputError if there is no usable demo, with what keeps them out, or no task text.
    """
    if not task:
        raise InputError("the task text is missing", fix='add --task "Lift the red cube up."')
    require_sentence(task, "--task")
    found = _Found()
    with opened(sources) as recordings:
        choices = survey(recordings, (camera,), accept_unmarked=accept_unmarked)
        for index, recording in enumerate(recordings):
            _look(recording, [one for one in choices if one.source == index and one.problem is None], camera, found)
    if not found.demos:
        raise _nothing_usable(sources, choices, camera)
    if len(found.sizes) > 1:
        raise InputError(f"the demos have different image sizes: {sorted(found.sizes)}", fix="give one file at a time")
    ((width, height),) = found.sizes
    if width % PIXELS or height % PIXELS:
        raise InputError(
            f"{sources[0]}: camera {camera!r} is {width}x{height}; a run needs multiples of {PIXELS}",
            fix="take another camera with --camera, or crop the images (leicos to-lerobot takes any even size)",
        )
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
        source=SourceConfig(
            files=tuple(str(path.resolve()) for path in sources),
            task=task,
            robot=found.robot,
            camera=camera,
            accept_unmarked=accept_unmarked,
        ),
        plan=plan,
        generate=generate,
        replay=ReplayConfig() if found.liftable else ReplayConfig(settings={"task": "none"}),
        curate=CurateConfig(require_success=found.liftable),
    )


def _nothing_usable(sources: Sequence[Path], choices: Sequence[Choice], camera: str) -> InputError:
    """Why no demo can be used: each reason with a demo of it, and the cameras that there are."""
    names = ", ".join(map(str, sources))
    if not choices:
        return InputError(f"{names}: has no demo (groups data/demo_0, ...)", fix="give a recording of LeIsaac")
    reasons: dict[str, list[Choice]] = {}
    for choice in choices:
        if choice.problem:
            reasons.setdefault(choice.problem.kind, []).append(choice)
    lines = [f"\n  {len(same)} demos, e.g. {same[0].name}: {same[0].problem}" for same in reasons.values()]
    there = described_cameras(camera_sizes(choices))
    return InputError(
        f"{names}: no demo can be used with camera {camera!r}{''.join(lines)}\n  cameras: {there}",
        fix=fix_for(choice.problem.kind for choice in choices if choice.problem),
    )


def _look(recording: Recording, chosen: Sequence[Choice], camera: str, found: _Found) -> None:
    """Add one recording's usable demos."""
    usable = [recording.demo(choice.name, (camera,)) for choice in chosen]
    if not usable:
        return
    ours = recording.env_name.startswith(RECORDER)
    found.robot = usable[0].robot.name
    found.ours = found.ours and ours
    found.liftable = (
        found.liftable
        and found.robot == DEFAULT
        and TASK in recording.env_name
        and all(CUBE_POSE in demo.state_at(0) for demo in usable)
    )
    found.demos += len(usable)
    found.sizes |= {demo.camera_sizes[camera] for demo in usable}
    if not ours:  # finding the frame rate reads the images
        timing = max(usable, key=lambda demo: demo.rows).timing(camera, TimeBase())
        found.frames = max(found.frames, timing.frames if isinstance(timing, Timing) else GenerateConfig().frames, 6)
