"""Label loose video files with an IDM artifact, outside any run. The tables are, byte for byte, those of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import LabelRequest
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.action_tables import write_table
from leicos_jobs.media.probe import verify
from leicos_jobs.robots.embodiment import embodiment
from leicos_jobs.stages.label import check_labels, label_seed
from leicos_jobs.work.artifacts import artifact_digest


@dataclass(frozen=True)
class Labelling:
    """How to label. settings: of the backend's labeller. seed: the run's `idm.seed`."""

    backend: str
    settings: dict[str, Any]
    robot: str
    seed: int


def label_files(artifact: Path, videos: Sequence[Path], out: Path, how: Labelling) -> Iterator[tuple[str, int]]:
    """Write out/NAME.parquet for each video; yields (name, rows).

    Raises InputError for an unreadable video, two of one name, or an artifact that does not fit.
    """
    names = [video.stem for video in videos]
    if len(set(names)) < len(names):
        raise InputError("two videos have the same name", fix="label them into two folders")
    out.mkdir(parents=True, exist_ok=True)
    idm = artifact_digest(artifact)
    with tempfile.TemporaryDirectory(prefix="leicos-") as work:
        settings = registry.settings("label", how.backend, how.settings)
        labeller = registry.load("label", how.backend)(settings=settings, artifact=artifact, work=Path(work))
        frames = {video.stem: _frames(video) for video in videos}
        inputs = {video.stem: {"video": sha256_file(video), "idm": idm} for video in videos}
        requests = [LabelRequest(item.stem, item, label_seed(how.seed, inputs[item.stem]["video"])) for item in videos]
        with closing(labeller):
            for result in labeller.process(requests, lambda _sample: None):
                check_labels(result.actions, frames[result.sample], embodiment(how.robot))
                write_table(out / f"{result.sample}.parquet", {"action": result.actions}, inputs[result.sample])
                yield result.sample, len(result.actions)


def _frames(video: Path) -> int:
    """The number of frames of a sound video. Raises InputError."""
    count = verify(video).frames
    if count < 2:
        raise InputError(f"{video} has one frame, and actions are seen between frames", fix="give it two or more")
    return count
