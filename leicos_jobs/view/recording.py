"""One sample as a Rerun recording: its video, its demo's, and the joints over the same time."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from leicos_jobs.core.errors import InputError, writing
from leicos_jobs.formats.lerobot_v21 import video_file
from leicos_jobs.media.probe import probe
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample
from leicos_jobs.view.lineage import lineage

TIME = "time"
FIX = "pip install 'leicos[rerun]'"


def find(run: Run, name: str) -> Sample:
    """The sample of an id, or of its beginning if it is the only one. Raises InputError."""
    found = [sample for sample in Results(run).samples() if sample.id.startswith(name)]
    if len(found) != 1:
        what = f"{len(found)} samples begin with {name}" if found else f"the plan has no sample {name}"
        raise InputError(f"{run.store.uri}: {what}", fix="`leicos view RUN` lists them; give the whole id")
    return found[0]


def record(run: Run, name: str, out: Path | None = None) -> Path:
    """Write the recording of a sample; returns its file. Raises InputError: no such sample, no Rerun, no video yet."""
    try:
        import rerun as rr
    except ImportError:
        raise InputError("a Rerun recording needs the package rerun-sdk", fix=FIX) from None
    sample = find(run, name)
    found = lineage(run, sample)
    if found.state.generate is None:
        raise InputError(f"sample {sample.id} has no video yet", fix="`leicos status RUN` says what is missing")
    path = out or Path(f"{sample.id}.rrd")
    stream = rr.RecordingStream("leicos", recording_id=sample.id)
    with tempfile.TemporaryDirectory(prefix="leicos-") as scratch, writing(path):
        stream.save(path)
        _video(rr, stream, "generated", run.commits.fetch(found.state.generate, Path(scratch)), 0)
        dataset = Results(run).needed("convert")
        demo = run.commits.fetch_file(dataset, video_file(sample.episode, run.config.source.camera), Path(scratch))
        _video(rr, stream, "its_demo", demo, found.first)
        for line, rows in found.actions.items():
            seconds = np.arange(len(rows)) / found.episode.fps
            times = rr.TimeColumn(TIME, duration=seconds)
            for index, joint in enumerate(run.robot.action.names):
                columns = rr.Scalars.columns(scalars=np.asarray(rows[:, index], np.float64))
                stream.send_columns(f"action/{joint}/{line.replace(' ', '_')}", [times], columns)
        text = sample.model_dump_json(indent=1)
        stream.log("sample", rr.TextDocument(text), static=True)
        stream.flush()
        stream.disconnect()
    return path


def _video(rr: Any, stream: Any, name: str, path: Path, first: int) -> None:
    """A video from frame `first` on; its frames are drawn at their own times."""
    asset, facts = rr.AssetVideo(path=path), probe(path)
    stream.log(name, asset, static=True)
    stamps = np.asarray(asset.read_frame_timestamps_nanos())[first : facts.frames]
    times = rr.TimeColumn(TIME, duration=(stamps - stamps[0]) / 1e9)
    stream.send_columns(name, [times], rr.VideoFrameReference.columns_nanos(stamps))
