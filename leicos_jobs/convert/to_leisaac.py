"""A LeRobot dataset back to the HDF5 of LeIsaac, which its replay script, converter and cosmos_merge take.

Each episode begins in its own simulator state (meta/leicos/starts.jsonl), not in that of a template; actions stand at
the control rate, interpolated as the replay has them; pictures are repeated as LeIsaac's camera repeats them. Where the
embedded simulator knows everything in the state, `states` and joint observations come from carrying the actions out
there. Elsewhere there are no `states`, and joint positions are the dataset's.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from leicos_jobs import __version__
from leicos_jobs.convert.simulate import Simulate
from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError, writing
from leicos_jobs.formats.episode_lines import read_episode_lines
from leicos_jobs.formats.episode_starts import EpisodeStart, State, read_starts
from leicos_jobs.formats.leisaac_writer import describe_demo, describe_file, write_pictures, write_tables
from leicos_jobs.formats.lerobot_layout import STARTS
from leicos_jobs.formats.lerobot_read import Dataset, Episode
from leicos_jobs.media.decode import read_frames
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.robots.resample import to_control_rate

F32 = NDArray[np.float32]
SHOWN = 10


@dataclass
class LeIsaacReport:
    """What was written. without_states: episodes that were not simulated. unmarked: those whose success nobody knows.
    disagreeing: those marked as successful that did not succeed when they were carried out."""

    episodes: int = 0
    rows: int = 0
    without_states: list[int] = field(default_factory=list)
    unmarked: list[int] = field(default_factory=list)
    disagreeing: list[int] = field(default_factory=list)


def to_leisaac(
    dataset: Dataset,
    out: Path,
    robot: Embodiment,
    *,
    simulate: Simulate | None = None,
    pictures: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> LeIsaacReport:
    """Write `out`, which appears only when it is complete.

    pictures: without them the file is small, and replay works; conversion does not. progress: called with (episodes
    done, episodes in all). Raises InputError if an episode has no simulator state, the robot has other widths than
    the dataset, or `out` exists.
    """
    starts = _starts(dataset)
    _require_robot(dataset, robot)
    if out.exists():
        raise InputError(f"{out}: exists", fix="give a new file")
    lines = read_episode_lines(dataset.root)
    report = LeIsaacReport()
    part = out.with_name(f".{out.name}.part")
    try:
        with writing(out), h5py.File(part, "w") as file:
            data = file.create_group("data")
            for episode in dataset.episodes():
                signals.check()
                start = starts[episode.index]
                group = data.create_group(f"demo_{episode.index}")
                made = _write(group, episode, start, robot, simulate, pictures, report)
                known = {
                    name.removesuffix(".jsonl"): by[episode.index] for name, by in lines.items() if episode.index in by
                }
                known.pop("starts", None)
                note = {"row": start.row, "stride": start.stride, "states": made} | known
                group.attrs["leicos"] = json.dumps(note)
                group.attrs["task"] = episode.task
                if progress:
                    progress(report.episodes, len(dataset))
            rates = sorted({start.control_hz for start in starts.values()})
            if len(rates) != 1:
                raise InputError(
                    f"{dataset.root}: its episodes have the control rates {rates}", fix="export them apart"
                )
            describe_file(data, report.rows, _env_args(rates[0], starts[dataset.entries[0].index].stride))
            data.attrs["leicos"] = json.dumps({"leicos": __version__, "dataset": str(dataset.root)})
        with writing(out):
            part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return report


def _env_args(control_hz: float, stride: int) -> dict[str, Any]:
    """As Isaac Lab's recorder writes them: LeIsaac's leaves the rate out, and a reader must guess it then."""
    simulation = {"dt": 1.0 / control_hz, "decimation": 1, "render_interval": stride, "num_envs": 1}
    return {"env_name": "", "type": 2, "sim_args": simulation}


def _starts(dataset: Dataset) -> dict[int, EpisodeStart]:
    """By episode. Raises InputError that names the episodes whose state is not known."""
    starts = read_starts(dataset.root)
    lacking = [entry.index for entry in dataset.entries if entry.index not in starts or not starts[entry.index].state]
    if not lacking:
        return starts
    numbers = ", ".join(map(str, lacking[:SHOWN])) + (", ..." if len(lacking) > SHOWN else "")
    raise InputError(
        f"{dataset.root / STARTS}: has no simulator state for {len(lacking)} of {len(dataset)} episodes ({numbers}),"
        " and a LeIsaac demo begins in one",
        fix="convert LeIsaac's recording with its `states` by this leicos; a recording of a real robot has none",
    )


def _require_robot(dataset: Dataset, robot: Embodiment) -> None:
    wanted = (robot.action.width, robot.state.width)
    if (given := tuple(dataset.widths.values())) != wanted:
        raise InputError(
            f"{dataset.root}: actions and states are {given[0]} and {given[1]} wide, a {robot.name}'s {wanted[0]} and"
            f" {wanted[1]}",
            fix="name the robot's file with --robot",
        )


def _write(
    group: h5py.Group,
    episode: Episode,
    start: EpisodeStart,
    robot: Embodiment,
    simulate: Simulate | None,
    pictures: bool,
    report: LeIsaacReport,
) -> str | None:
    """Fill a demo's group; returns the name of the simulator that its `states` are of."""
    state: State = start.state or {}
    targets = robot.action.to_recorded(to_control_rate(episode.actions, start.stride, robot))
    simulated = simulate(state, targets, start.control_hz) if simulate else None
    rows = len(targets)
    tables = simulated.tables if simulated else _tables(targets, _positions(episode, start.stride), robot)
    tables |= {f"initial_state/{path}": np.array([values], dtype=np.float32) for path, values in state.items()}
    write_tables(group, tables)
    for camera, path in episode.videos.items() if pictures else ():
        write_pictures(group, camera, rows, _repeated(path, start.stride))
    success = start.success
    if success is None and simulated:
        success = simulated.success
    describe_demo(group, rows, success)
    report.episodes += 1
    report.rows += rows
    if simulated is None:
        report.without_states.append(episode.index)
    elif success and not simulated.success:
        report.disagreeing.append(episode.index)
    if success is None:
        report.unmarked.append(episode.index)
    return simulated.simulator if simulated else None


def _repeated(video: Path, stride: int) -> Iterator[NDArray[np.uint8]]:
    return itertools.chain.from_iterable(itertools.repeat(picture, stride) for picture in read_frames(video))


def _positions(episode: Episode, stride: int) -> F32:
    """(n * stride, state width) observation.state at control steps, on lines between frames, motor units."""
    frames, steps = np.arange(len(episode)), np.arange(len(episode) * stride) / stride
    return np.stack([np.interp(steps, frames, column) for column in episode.states.T], axis=1).astype(np.float32)


def _tables(targets: F32, positions: F32, robot: Embodiment) -> dict[str, F32]:
    """LeIsaac's tables of actions and joint positions, where the robot's file says that they are."""
    joints = robot.state.to_recorded(positions)
    tables = {path: _columns(targets, robot.action.names, names) for path, names in robot.tables("action")}
    if "actions" in tables:
        actions = tables["actions"]
        tables["processed_actions"] = actions
        tables["obs/actions"] = np.concatenate([np.zeros_like(actions[:1]), actions[:-1]])
    return tables | {path: _columns(joints, robot.state.names, names) for path, names in robot.tables("state")}


def _columns(values: F32, own: Sequence[str], wanted: Sequence[str | None]) -> F32:
    """The columns that a table has; one that the dataset does not know is zero."""
    table = np.zeros((len(values), len(wanted)), dtype=np.float32)
    for place, name in enumerate(wanted):
        if name is not None:
            table[:, place] = values[:, own.index(name)]
    return table
