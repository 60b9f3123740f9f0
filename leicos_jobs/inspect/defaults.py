"""The configuration that `leicos run --source` and `leicos init` start from, fitted to what is in the sources."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.mujoco.poses import CUBE_POSE
from leicos_jobs.convert.choose_demos import Choice, camera_sizes, described_cameras, opened, survey
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import require_sentence
from leicos_jobs.formats.leisaac_problems import fix_for
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing
from leicos_jobs.formats.sources import FRONT, KINDS, Source, SourceDemo, camera_names, usual_camera
from leicos_jobs.robots.data import DEFAULT
from leicos_jobs.robots.embodiment import Embodiment, embodiment, is_file
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import (
    CurateConfig,
    GenerateConfig,
    IdmConfig,
    PlanConfig,
    ReplayConfig,
    RunConfig,
    SourceConfig,
    SplitConfig,
)
from leicos_jobs.run.identity import no_replay
from leicos_jobs.work.sources import staged

RECORDER = "leicos-mujoco"
"""What `leicos record` writes as env_args.env_name."""
TASK = "LiftCube"
"""In the names of the environments that replay/mujoco has; LeIsaac leaves the name of its own empty."""
PIXELS = 16
"""Width and height of generated videos are multiples of it (generate.width)."""
VIDEOS = 48
"""Of our own scene, at least: enough to see success rates."""

Say = Callable[[str], None]


@dataclass
class _Found:
    """What the usable demos of all sources have in common.

    robot: whose tables or joints they have. ours: recorded by `leicos record`. other_task: why replay/mujoco cannot
    tell whether their task is done; None if it can. states: all have the simulator's. frames: dataset rows of the
    longest. texts: their own task texts; None among them: one has none.
    """

    robot: Embodiment | None = None
    ours: bool = True
    other_task: str | None = None
    states: bool = True
    demos: int = 0
    frames: int = 0
    sizes: frozenset[tuple[int, int]] = frozenset()
    texts: dict[str | None, None] = field(default_factory=dict)


def config_for(
    sources: Sequence[str | Path],
    task: str | None,
    camera: str | None = None,
    *,
    robot: str | None = None,
    accept_unmarked: bool = False,
    backends: Mapping[str, str] | None = None,
    say: Say = lambda _text: None,
) -> RunConfig:
    """A configuration for these sources: generate/mujoco for what our scene recorded, else generate/echo of the demos
    that the IDM does not train on, as long as the longest of all. A task that replay/mujoco has no rule for is replayed
    without one, and what no simulator here can replay is not.

    camera, robot, task: where left out, what the sources say. backends: section (generate, idm, replay) -> another
    backend, with its default settings. say: is told each decision and its reason. Raises InputError if there is no
    usable demo, with what keeps them out, or a demo without task text; if a backend is not installed or cannot make
    videos of this size.
    """
    if task is not None:
        require_sentence(task, "--task")
    names = [name if (name := str(source)).startswith("s3:") else str(Path(name).resolve()) for source in sources]
    found = _Found()
    with staged(names) as paths, opened(paths, embodiment(robot) if robot else None) as recordings:
        there = sorted({name for recording in recordings for name in camera_names(recording)})
        chosen = camera or usual_camera(there, embodiment(robot) if robot else None) or FRONT
        choices = survey(recordings, (chosen,), accept_unmarked=accept_unmarked)
        for index, recording in enumerate(recordings):
            _look(recording, [one for one in choices if one.source == index and one.problem is None], chosen, found)
    if not found.demos or found.robot is None:
        raise _nothing_usable(names, choices, chosen)
    others = [name for name in there if name != chosen]
    say(f"camera {chosen}" + (f" (there are also {', '.join(others)}: --camera)" if others and not camera else ""))
    if task is None and None in found.texts:
        raise InputError("the task text is missing", fix='add --task "Lift the red cube up."')
    if task is None:
        say(f"task text: each demo's own, {len(found.texts)} in all, e.g. {next(iter(found.texts))!r}")
    config = _config(names, task, (chosen, _size(names, chosen, found)), found, accept_unmarked)
    if backends:
        config = _with_backends(config, backends, found.frames)
    source = config.source.model_copy(update={"robot": _robot_name(robot, found.robot)})
    _explain(config, found, say)
    return config.model_copy(update={"source": source})


def _robot_name(given: str | None, found: Embodiment) -> str:
    if given is None:
        return found.name
    local = is_file(given) and not given.startswith("s3:")
    return str(Path(given).resolve()) if local else given


def _size(names: Sequence[str], camera: str, found: _Found) -> tuple[int, int]:
    """(width, height) of all demos. Raises InputError if there are several, or a video cannot have it."""
    if len(found.sizes) > 1:
        raise InputError(f"the demos have different image sizes: {sorted(found.sizes)}", fix="give one file at a time")
    ((width, height),) = found.sizes
    if width % PIXELS or height % PIXELS:
        raise InputError(
            f"{names[0]}: camera {camera!r} is {width}x{height}; a run needs multiples of {PIXELS}",
            fix="take another camera with --camera, or crop the images (leicos to-lerobot takes any even size)",
        )
    return width, height


def _config(
    names: Sequence[str], task: str | None, view: tuple[str, tuple[int, int]], found: _Found, accept_unmarked: bool
) -> RunConfig:
    """view: camera, and its (width, height)."""
    text = task or next(filter(None, found.texts), "")
    camera, (width, height) = view
    if found.ours:
        plan = PlanConfig(samples=max(found.demos, VIDEOS))
        generate = GenerateConfig(backend="mujoco", width=width, height=height)
    else:
        held_out = min(math.ceil(SplitConfig().held_out_share * found.demos), found.demos - 1)
        plan = PlanConfig(samples=max(1, held_out), held_out_share=1.0)
        generate = GenerateConfig(backend="echo", width=width, height=height, frames=found.frames)
    known = found.other_task is None
    return RunConfig(
        name=re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "leicos",
        source=SourceConfig(files=tuple(names), task=task, camera=camera, accept_unmarked=accept_unmarked),
        plan=plan,
        generate=generate,
        replay=ReplayConfig() if known else ReplayConfig(settings={"task": "none"}),
        curate=CurateConfig(require_success=known),
    )


def _with_backends(config: RunConfig, backends: Mapping[str, str], frames: int) -> RunConfig:
    """The configuration with these backends. frames: of the longest demo, the length of another generator's videos."""
    changes: dict[str, Any] = {}
    if name := backends.get("generate"):
        size = {"width": config.generate.width, "height": config.generate.height}
        changes |= {"generate": GenerateConfig(backend=name, frames=frames, **size), "plan": PlanConfig()}
    if name := backends.get("idm"):
        changes["idm"] = IdmConfig(backend=name)
    if name := backends.get("replay"):
        judges = registry.load("replay", name).judges(registry.settings("replay", name, {}))
        changes |= {"replay": ReplayConfig(backend=name), "curate": CurateConfig(require_success=judges)}
    changed = config.model_copy(update=changes)
    check_backends(changed)
    return changed


def _explain(config: RunConfig, found: _Found, say: Say) -> None:
    """Say what was decided, and why."""
    if found.robot is not None:
        say(f"robot {found.robot.name}, {found.robot.action.width} joints in an action")
        why = "`leicos record` made the file" if found.ours else "no generator here knows its scene"
        say(f"generate: {config.generate.backend}, since {why}; cosmos makes new videos, on a GPU")
        if reason := no_replay(config, found.robot)[found.states]:
            say(f"replay: switched off, since {reason}")
        elif found.other_task:
            say(f"replay: the arm alone, success unknown, since {found.other_task}")
        else:
            say(f"replay: by the rule of {TASK}, since the scene is an SO-101 with one cube")


def _nothing_usable(names: Sequence[str], choices: Sequence[Choice], camera: str) -> InputError:
    """Why no demo can be used: each reason with a demo of it, and the cameras that there are."""
    listed = ", ".join(names)
    if not choices:
        return InputError(f"{listed}: has no demo (groups data/demo_0, ...)", fix=f"give {KINDS}")
    reasons: dict[str, list[Choice]] = {}
    for choice in choices:
        if choice.problem:
            reasons.setdefault(choice.problem.kind, []).append(choice)
    lines = [f"\n  {len(same)} demos, e.g. {same[0].name}: {same[0].problem}" for same in reasons.values()]
    there = described_cameras(camera_sizes(choices))
    return InputError(
        f"{listed}: no demo can be used with camera {camera!r}{''.join(lines)}\n  cameras: {there}",
        fix=fix_for(choice.problem.kind for choice in choices if choice.problem),
    )


def _look(recording: Source, chosen: Sequence[Choice], camera: str, found: _Found) -> None:
    """Add one source's usable demos."""
    usable = [recording.demo(choice.name, (camera,)) for choice in chosen]
    if not usable:
        return
    ours = recording.env_name.startswith(RECORDER)
    found.robot = usable[0].robot
    found.ours = found.ours and ours
    found.states = found.states and all(demo.has_states for demo in usable)
    found.other_task = found.other_task or next(filter(None, (_other_task(recording, demo) for demo in usable)), None)
    found.demos += len(usable)
    found.sizes |= {demo.camera_sizes[camera] for demo in usable}
    found.texts |= dict.fromkeys(demo.task for demo in usable)
    if not ours:  # finding the frame rate reads the images
        timing = max(usable, key=lambda demo: demo.rows).timing(camera, TimeBase())
        found.frames = max(found.frames, timing.frames if isinstance(timing, Timing) else GenerateConfig().frames, 6)


def _other_task(recording: Source, demo: SourceDemo) -> str | None:
    """Why a demo is not of the task whose rule replay/mujoco has; None if it is: an SO-101, and a cube alone."""
    if demo.robot.name != DEFAULT:
        return f"its robot is a {demo.robot.name}"
    if recording.env_name and TASK not in recording.env_name:
        return f"its environment is {recording.env_name}, not {TASK}"
    objects = {path.rpartition("/")[0] for path in demo.state_at(0) if path.startswith("rigid_object/")}
    if objects != {CUBE_POSE.rpartition("/")[0]}:
        there = ", ".join(sorted(name.removeprefix("rigid_object/") for name in objects)) or "no object"
        return f"its scene holds {there}, not a cube alone, so it is not {TASK}"
    return None
