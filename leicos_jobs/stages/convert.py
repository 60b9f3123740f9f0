"""convert: recordings in, the run's `dataset/` out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from leicos_jobs.convert.dataset import ConvertOptions
from leicos_jobs.convert.dataset import convert as write_dataset
from leicos_jobs.core.stages import CONVERT
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_layout import STARTS
from leicos_jobs.formats.lerobot_v21 import EncodeSettings
from leicos_jobs.run import layout
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.work.sources import fetch_source
from leicos_jobs.work.whole import whole_stage


def convert(run: Run) -> StageRecord:
    """Run the convert stage. Raises InputError if no demo is left, or a recording is not the one the run began with."""
    source, time, video = run.config.source, run.config.time, run.config.video

    def build(folder: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="leicos-") as name:
            files = [fetch_source(item, run, Path(name)) for item in source.files]
            options = ConvertOptions(
                embodiment=run.robot,
                cameras=tuple(dict.fromkeys((source.camera, *source.cameras))),
                task=source.task,
                tasks=source.tasks,
                control_hz=time.control_hz,
                time=TimeBase(time.stride, time.row_for_row, time.drop_rows),
                encode=EncodeSettings(video.crf, video.preset, video.gop),
                strict=source.strict,
                accept_unmarked=source.accept_unmarked,
            )
            report = write_dataset(files, folder, options, names=source.files)
            for item in source.files:  # afterwards: what was read is then known to be what the run began with
                fetch_source(item, run, Path(name), whole=True)
        facts: dict[str, Any] = report.model_dump(mode="json")
        return facts

    return whole_stage(Results(run), CONVERT, build, provenance=(layout.ORIGINS, layout.LEFT_OUT, STARTS))
