"""Stages that commit as a whole: build a folder, upload it under the name of its content, write one record.

The record stands under the key that the configuration demanded when the stage began. So a worker of an older
configuration, or another workflow on the same run, adds its own result beside and replaces nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leicos_jobs.core import logs, signals
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import DefectError
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.core.stages import Stage
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord, attempt_facts
from leicos_jobs.run.opened import Run, read_run_file
from leicos_jobs.run.results import Results

_SENDERS = 8
Build = Callable[[Path], dict[str, Any]]
"""Fills an empty folder with the stage's files and returns facts for the record."""


def whole_stage(results: Results, stage: Stage, build: Build, *, provenance: tuple[str, ...] = ()) -> StageRecord:
    """Do a stage unless its record stands under the current key.

    provenance: names of files that only tell where something came from, and are not part of the result. Raises
    InputError that names the stage to do first.
    """
    run = results.run
    if (done := results.current(stage.name)) is not None:
        logs.event(f"{stage.name}.already_done", key=done.key)
        _show(run, done)  # another configuration may have been the last one that wrote
        return done
    key = results.key(stage.name)
    if key is None:
        for earlier in stage.needs:
            results.needed(earlier)
        raise DefectError(f"{stage.name}: its key is not known, though all that it needs is done")
    signals.install()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        folder = Path(name) / "out"
        folder.mkdir()
        facts = build(folder)
        signals.check()
        files, place = publish(run, stage.name, folder)
    seconds = time.monotonic() - begun
    record = StageRecord(
        stage=stage.name,
        key=key,
        folder=place,
        files=files,
        provenance=tuple(name for name in provenance if name in files),
        facts=facts,
        attempt=attempt_facts(seconds=seconds),
    )
    record = run.commits.commit_whole(record)
    _show(run, record)
    _note_time(run, record, seconds)
    logs.event(f"{stage.name}.done", files=len(files), seconds=seconds)
    return record


def publish(run: Run, stage: str, folder: Path) -> tuple[dict[str, str], str]:
    """Upload a folder's files under the digest of them all; returns name -> sha256, and the place in the run."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = dict(zip(paths, in_parallel(sha256_file, paths.values()), strict=True))
    place = layout.stage_folder(stage, digest_of(files))
    for _ in in_parallel(lambda name: run.store.upload(f"{place}/{name}", paths[name]), paths, _SENDERS):
        pass
    return files, place


def _show(run: Run, record: StageRecord) -> None:
    """Lead people to the result, unless the run was amended since this stage began: it is then a former one's."""
    now = read_run_file(run.store)
    if now is not None and (now.config, now.inputs) == (run.config, run.inputs):
        run.store.link_latest(record.folder)


def _note_time(run: Run, record: StageRecord, seconds: float) -> None:
    timing = {
        "stage": record.stage,
        "ended": time.time(),
        "seconds": seconds,
        "load_seconds": 0.0,
        "samples": None,
        "gpus": int(record.facts.get("gpus", 1)),  # of the one pod: a trainer on several says so
    }
    run.store.put(layout.timing(record.stage, record.key), json.dumps(timing).encode())


def resume_key(results: Results, stage: str) -> str:
    """The key under which a training keeps its checkpoints: that of the record that it will have."""
    key = results.key(stage)
    if key is None:
        raise DefectError(f"{stage} has no key yet")
    return key
