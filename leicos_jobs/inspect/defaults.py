"""The configuration that `leicos run --source` and `leicos init` start from, fitted to what is in the sources."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.embedded_replay import NO_TASK
from leicos_jobs.backends.mujoco.poses import object_pose
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
from leicos_jobs.tasks.task import DEFAULT as DEFAULT_TASK
from leicos_jobs.tasks.task import Task, shipped, validated
from leicos_jobs.work.sources import staged

RECORDER = "leicos-mujoco"
"""What `leicos record` writes as env_args.env_name."""
PIXELS = 16
"""Width and height of generated videos are multiples of it (generate.width)."""
VIDEOS = 48
"""Of our own scene, at least: enough to see success rates."""

Say = Callable[[str], None]


@dataclass
class _Found:
    """What the usable demos of all sources have in common.

    robot: whose tables or joints they have. ours: recorded by `leicos record`. tasks: theirs, as far as leicos has the
    rule. other_task: why replay/mujoco cannot tell whether their task is done; None if it can. states: all have the
    simulator's. frames: dataset rows of the longest. texts: their own task texts; None among them: one has none.
    """

    robot: Embodiment | None = None
    ours: bool = True
    tasks: list[Task] = field(default_factory=list)
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
    if len(found.tasks) > 1:
        found.other_task = f"the sources are of several tasks: {', '.join(one.name for one in found.tasks)}"
    found.ours = found.ours and found.other_task is None
    if task is None and None in found.texts and found.ours:
        task = found.tasks[0].text
        say(f"task text: {task!r}, since `leicos record` did {found.tasks[0].name}")
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
        frames, settings = found.tasks[0].expert.frames, _task_settings(found)
        generate = GenerateConfig(backend="mujoco", width=width, height=height, frames=frames, settings=settings)
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
        replay=ReplayConfig(settings=_task_settings(found) if known else {"task": NO_TASK}),
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
            (task,) = found.tasks
            scene = f"an SO-101 with one {task.scene.object.name}"
            say(f"replay: by the rule of {task.environment}, since the scene is {scene}")


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
    for task in (_task_of(recording, demo) for demo in usable):
        if isinstance(task, str):
            found.other_task = found.other_task or task
        elif task not in found.tasks:
            found.tasks.append(task)
    found.demos += len(usable)
    found.sizes |= {demo.camera_sizes[camera] for demo in usable}
    found.texts |= dict.fromkeys(demo.task for demo in usable)
    timing = max(usable, key=lambda demo: demo.rows).timing(camera, TimeBase())
    found.frames = max(found.frames, timing.frames if isinstance(timing, Timing) else GenerateConfig().frames, 6)


def _task_of(recording: Source, demo: SourceDemo) -> Task | str:
    """The task of a demo, whose rule replay/mujoco has; else why there is none."""
    if demo.robot.name != DEFAULT:
        return f"its robot is a {demo.robot.name}"
    if recording.task is not None:
        return validated(recording.task, f"{recording.path}, env_args")
    known = shipped().values()
    named = [task for task in known if task.environment in recording.env_name]
    if recording.env_name and not named:
        return f"its environment is {recording.env_name}, not {_either(task.environment for task in known)}"
    objects = {path.rpartition("/")[0] for path in demo.state_at(0) if path.startswith("rigid_object/")}
    candidates = named or [task for task in known if task.unnamed]
    for task in candidates:
        if objects == {object_pose(task.scene.object.name).rpartition("/")[0]}:
            return task
    there = ", ".join(sorted(name.removeprefix("rigid_object/") for name in objects)) or "no object"
    wanted = _either(f"a {task.scene.object.name} alone" for task in candidates)
    return f"its scene holds {there}, not {wanted}, so it is not {_either(task.environment for task in candidates)}"


def _either(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def _task_settings(found: _Found) -> dict[str, Any]:
    """Settings that name the demos' task."""
    (task,) = found.tasks
    if task.name == DEFAULT_TASK:
        return {}
    return {"task": task.name if task.name in shipped() else task.model_dump(mode="json", exclude_defaults=True)}
