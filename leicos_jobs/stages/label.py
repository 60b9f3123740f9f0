"""label: video -> one action a frame, by the IDM. It sees the video and the artifact, nothing else of the run.

The seed derives from the video's bytes, so that neither batch, worker, retry nor file name can change a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends import registry
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import LabelRequest, LabelResult
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import DefectError
from leicos_jobs.formats.action_tables import write_table
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run.chain import State
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.samples import Sample
from leicos_jobs.work.artifacts import fetch_artifact
from leicos_jobs.work.worker import Checked, SampleStage

OUT_OF_RANGE = 1.5
"""A label further than this many half-ranges from the middle of a joint's range is broken, not merely wrong."""


def label_seed(seed: int, video_sha256: str) -> int:
    """Seed of a video's labels: 63 bits from the run's IDM seed and the video's bytes."""
    return int(digest_of({"seed": seed, "video": video_sha256}, 64), 16) >> 1


def check_labels(actions: NDArray[np.float32], frames: int, robot: Embodiment) -> dict[str, Any]:
    """Verify labels: one row a frame, right width, finite, not constant, in range. Raises DefectError.

    Returns facts: the share of values outside the motor range, and the largest excess in motor units.
    """
    width = robot.action.width
    if actions.shape != (frames, width):
        raise DefectError(f"labels have shape {actions.shape}, expected ({frames}, {width})")
    if actions.dtype != np.float32:
        raise DefectError(f"labels are {actions.dtype}, expected float32")
    if not np.isfinite(actions).all():
        raise DefectError(f"labels of row {int(np.argwhere(~np.isfinite(actions))[0][0])} are not finite")
    limits = robot.action.motor_limits()
    middle, half = limits.mean(axis=1), (limits[:, 1] - limits[:, 0]) / 2
    reach = np.abs(actions - middle) / half
    if reach.max() > OUT_OF_RANGE:
        row, joint = np.unravel_index(int(reach.argmax()), reach.shape)
        name = robot.action.names[int(joint)]
        raise DefectError(f"label of row {row}, {name}: {actions[row, joint]:.1f} is far outside the motor range")
    if not actions.any():
        raise DefectError("all labels are zero: the IDM's normalisation is missing or wrong")
    return {
        "rows": frames,
        "outside_share": round(float((reach > 1).mean()), 5),
        "outside_max": round(float(((reach - 1).clip(0) * half).max()), 3),
    }


class LabelStage(SampleStage):
    """The worker loop's view of the IDM."""

    name: ClassVar[str] = "label"

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.robot = run.robot
        self.results = Results(run)
        self.results.needed("train-idm")
        self.idm = self.results.artifact("train-idm")

    def states(self, samples: Sequence[Sample]) -> list[State]:
        """See `SampleStage.states`."""
        return read_states(self.run, samples, "label")

    def spec(self, scratch: Path) -> BackendSpec[Any]:
        """See `SampleStage.spec`."""
        return label_spec(self.results, scratch)

    def request(self, state: State, scratch: Path) -> LabelRequest:
        """See `SampleStage.request`."""
        if state.generate is None:
            raise DefectError(f"sample {state.sample.id}: label before generate")
        video = self.run.commits.fetch(state.generate, scratch)
        seed = label_seed(self.run.config.idm.seed, str(state.generate.sha256))
        return LabelRequest(state.sample.id, video, seed)

    def check(self, state: State, result: LabelResult, scratch: Path) -> Checked:
        """See `SampleStage.check`. The record and the table name the digest of the video that was seen; the table has
        no sample in it, for it depends on nothing but video and IDM."""
        if state.generate is None or self.idm is None:
            raise DefectError(f"sample {state.sample.id}: label without video or IDM")
        facts = check_labels(result.actions, int(state.generate.facts["frames"]), self.robot)
        inputs = {"video": str(state.generate.sha256), "idm": self.idm}
        path = scratch / f"{state.sample.id}.parquet"
        write_table(path, {"action": result.actions}, inputs)
        return Checked(path, facts | {"notes": result.notes}, inputs)


def label_spec(results: Results, scratch: Path) -> BackendSpec[Any]:
    """The labeller of a run's IDM backend, with its artifact."""
    config = results.config
    results.needed("train-idm")
    artifact = fetch_artifact(results, "train-idm", scratch)
    work = scratch / "labeller"
    return registry.spec("label", config.idm.backend, config.label.settings, work=work, artifact=artifact)
