"""leicos verify isaac: does replay work on this machine, with its RTX GPU, Isaac Sim and LeIsaac's assets?

A recording of LeIsaac answers it: its own actions must succeed where the demo did, holding still must not, the start
state must be the demo's, and a second replay must agree. Without one only the start of the simulator is checked.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.isaac.assets import missing, scene_of
from leicos_jobs.backends.isaac.replayer import IsaacReplayer, ReplayError, assets_root
from leicos_jobs.backends.isaac.settings import IsaacSettings
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest
from leicos_jobs.backends.verification import Verification
from leicos_jobs.core.errors import LeicosError
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording
from leicos_jobs.formats.leisaac_probe import probe
from leicos_jobs.formats.sources import control_rate

ROW = 5
"""The row that LeIsaac's converter starts at, so that a state of `states` is used, not only the initial one."""
DEMOS = 4
START_ERROR_DEG = 10.0
"""Degrees RMS between target and joints when the arm is told to stay where the demo has it."""


def verify_isaac(settings: IsaacSettings, recording: Path | None = None, camera: str = "front") -> Verification:
    """Check everything that can be checked here. recording: an HDF5 file of LeIsaac for the same task."""
    found = Verification(IsaacReplayer.name)
    root = assets_root(settings)
    lacking = missing(settings.task, root)
    if lacking or scene_of(settings.task):
        found.add("assets", not lacking, f"{root}" + (f" lacks {', '.join(lacking)}" if lacking else ""))
    else:
        found.add("assets", None, f"{root} has the robot; the scene of {settings.task} is not known here")
    with tempfile.TemporaryDirectory(prefix="leicos-verify-") as name:
        begun = time.monotonic()
        try:
            replayer = IsaacReplayer(settings, Path(name))
        except LeicosError as error:
            found.add("simulator starts", False, str(error))
            return found
        try:
            found.add(
                "simulator starts",
                True,
                f"{time.monotonic() - begun:.0f} s, {settings.task}, {settings.envs} environments",
            )
            if recording is None:
                found.add("replay", None, "needs --sample: an HDF5 file that LeIsaac recorded in this task")
            else:
                _replays(found, replayer, recording, camera)
        finally:
            begun = time.monotonic()
            replayer.close()
            found.add("simulator ends", True, f"{time.monotonic() - begun:.1f} s, killed if need be")
    return found


def _replays(found: Verification, replayer: IsaacReplayer, recording: Path, camera: str) -> None:
    probe(recording)
    with Recording(recording) as opened:
        rate = control_rate([opened], 60.0)
        demos = [demo for demo in opened.demos((camera,)) if demo.problem is None and demo.success][:DEMOS]
        if not demos:
            found.add("replay", None, f"{recording} has no successful demo")
            return
        requests = [item for demo in demos for item in _requests(demo, rate, replayer)]
    begun = time.monotonic()
    metrics: dict[str, ReplayMetrics] = {}
    try:
        for result in replayer.process(requests, lambda _sample: None):
            metrics[result.sample] = result.metrics
    except (ReplayError, LeicosError) as error:
        found.add("replay", False, str(error))
        return
    except SystemExit:  # the replayer's word to its worker; here it must not cost the verdict
        found.add("replay", False, "the simulator ended again and again; its last lines are above")
        return
    seconds = time.monotonic() - begun
    steps = sum(len(request.actions) + request.hold for request in requests)
    found.add("replay", True, f"{len(requests)} episodes, {steps / seconds:.0f} control steps/s over all environments")
    own = [metrics[f"{demo.name}-own"] for demo in demos]
    again = [metrics[f"{demo.name}-again"] for demo in demos]
    still = [metrics[f"{demo.name}-still"] for demo in demos]
    wins = sum(bool(item.success) for item in own)
    found.add(
        "the demos' own actions succeed", wins * 2 >= len(own), f"{wins} of {len(own)}; this is the replay's ceiling"
    )
    idle = sum(bool(item.success) for item in still)
    found.add("holding still does not", idle == 0, f"{idle} of {len(still)}")
    worst = max(item.tracking_error_deg for item in still)
    found.add("starts in the demo's state", worst <= START_ERROR_DEG, f"{worst:.1f} degrees from it at most")
    apart = [_apart(one, other) for one, other in zip(own, again, strict=True)]
    same = sum(one.success == other.success for one, other in zip(own, again, strict=True))
    found.add(
        "twice the same",
        None if same < len(own) else True,
        f"{same} of {len(own)}, ends {max(apart):.1f} degrees apart",
    )


def _requests(demo: Demo, rate: float, replayer: IsaacReplayer) -> list[ReplayRequest]:
    start = demo.state_at(ROW)
    actions = replayer.robot.action.to_motor(demo.actions[ROW:])
    still: NDArray[np.float32] = np.repeat(replayer.robot.state.to_motor(demo.joint_pos[ROW : ROW + 1]), 120, axis=0)
    return [
        ReplayRequest(f"{demo.name}-{name}", start, values, control_hz=rate, hold=30, seed=1)
        for name, values in (("own", actions), ("again", actions), ("still", still))
    ]


def _apart(one: ReplayMetrics, other: ReplayMetrics) -> float:
    difference = np.array(one.final_joint_pos) - np.array(other.final_joint_pos)
    return float(np.degrees(np.abs(difference).max()))
