"""Datasets as a user names them: a dataset's folder, or a run, whose synthetic dataset is meant; here or in S3."""

from __future__ import annotations

from pathlib import Path

from leicos_jobs.core.digests import sha256_bytes
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import lerobot_layout
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.robots.embodiment import Embodiment, shipped
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run, open_run
from leicos_jobs.run.results import Results, fetch_folder
from leicos_jobs.store import open_store
from leicos_jobs.work.sources import staged_folder

INFO = lerobot_layout.INFO.as_posix()


def run_at(uri: str) -> Run | None:
    """The run at a URI; None if something else is there. Raises InputError."""
    store = open_store(uri)
    return open_run(uri) if store.size(layout.RUN) is not None else None


def local_dataset(uri: str, scratch: Path) -> Path:
    """A local folder with the dataset; what is in S3 is downloaded below `scratch`.

    Raises InputError if nothing is there, or if it is a run that has no dataset.
    """
    if run := run_at(uri):
        made = Results(run).needed("assemble")
        if not made.files:
            raise InputError(f"{uri}: no sample passed curation, so there is no dataset", fix="see the run's report")
        return run.store.local(made.folder) or fetch_folder(run, made, scratch / sha256_bytes(uri.encode())[:16])
    store = open_store(uri)
    if store.size(INFO) is None:
        raise InputError(f"{uri}: is neither a LeRobot dataset nor a run: it has no {INFO}", fix="name its folder")
    if (info := store.local(INFO)) is not None:
        return info.parents[1]
    return staged_folder(uri, scratch)


def robot_of_dataset(dataset: Dataset) -> Embodiment:
    """The shipped robot that a dataset names. Raises InputError if none has its robot_type."""
    kind = dataset.info.get("robot_type")
    for robot in shipped().values():
        if robot.robot_type == kind:
            return robot
    raise InputError(
        f"{dataset.root / INFO}: its robot_type {kind!r} is none that leicos ships",
        fix="name the robot's file with --robot (`leicos robot from DATASET` begins one)",
    )
