"""generate/import: videos that exist already. Their list is the plan.

A folder with a `videos.jsonl`: one line per video, {"file": "a.mp4", "demo": "demo_3", "row0": 5, "seed": 21}. `row0`
(the demo's first row), `seed` (0), `source` (end of the recording's name) and `task` may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from leicos_jobs.backends.base import Generator, Settings, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult, PlanLine
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import json_lines
from leicos_jobs.core.validation import describe_errors
from leicos_jobs.media.probe import VideoInfo, probe
from leicos_jobs.media.remux import restamp, transcode

MAP = "videos.jsonl"
FIX = "give file and demo in every line, and row0, seed, source or task where they matter"
LEAST_FRAMES = 6
"""A video begins with the five frames of its clip."""


class ImportSettings(Settings):
    """Settings of the import generator."""

    folder: Path
    """Folder with videos.jsonl and the videos; it must be reachable where the job runs (a mounted volume)."""


class VideoLine(BaseModel):
    """A line of videos.jsonl."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: str = Field(min_length=1)
    demo: str = Field(min_length=1)
    row0: int | None = Field(None, ge=0)
    seed: int = Field(0, ge=0)
    source: str = ""
    task: str | None = Field(None, min_length=1)


class ImportGenerator(Generator[ImportSettings], name="import", version=1):
    """Takes existing videos over: re-stamped to the dataset's rate, transcoded where they are not H.264."""

    def __init__(self, settings: ImportSettings, checkpoint: Path | None, work: Path) -> None:
        """Read the list. Raises InputError naming the line that is wrong."""
        super().__init__(settings, checkpoint, work)
        self.videos = {sha256_file(path): path for _, _, path in read_map(settings.folder)}

    @override
    @classmethod
    def folders(cls, settings: ImportSettings) -> tuple[str, ...]:
        return (str(settings.folder),)

    @override
    @classmethod
    def lines(cls, settings: ImportSettings) -> Sequence[PlanLine]:
        return [
            PlanLine(
                where=where,
                demo=line.demo,
                seed=line.seed,
                frames=_probed(path, where).frames,
                outside={"video": sha256_file(path)},
                row0=line.row0,
                source=line.source,
                task=line.task,
            )
            for where, line, path in read_map(settings.folder)
        ]

    @override
    @classmethod
    def check_run(cls, settings: ImportSettings, frames: int, width: int, height: int) -> None:
        """Each video must be there, long enough, and of the size that the labels are trained for."""
        for where, _, path in read_map(settings.folder):
            info = _probed(path, where)
            if info.size != (width, height):
                raise InputError(
                    f"{where}: {path} is {info.width}x{info.height}, generate.width and height say {width}x{height}",
                    fix="scale the video, or set them to its size if the demos have it too",
                )

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield the video of each request. Raises InputError for one that is not there any more."""
        for request in requests:
            started(request.sample)
            source, target = self.videos.get(request.outside.get("video", "")), request.out_dir / "video.mp4"
            if source is None:
                raise InputError(
                    f"{self.settings.folder}: the video of {request.demo_name}, row {request.row0}, has changed",
                    fix="start the run again with --amend: it is then planned again",
                )
            info = probe(source)
            if (info.codec, info.pix_fmt) == ("h264", "yuv420p"):
                restamp(source, target, request.fps)
            else:
                transcode(source, target, fps=request.fps)
            yield GenerateResult(request.sample, target, notes={"imported": source.name})


def _probed(path: Path, where: str) -> VideoInfo:
    """Facts of a video. Raises InputError that names its line and itself."""
    try:
        info = probe(path)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", fix=error.fix) from None
    if info.frames < LEAST_FRAMES:
        raise InputError(f"{where}: {path} has {info.frames} frames; {LEAST_FRAMES} are needed", fix="leave it out")
    return info


def read_map(folder: Path) -> list[tuple[str, VideoLine, Path]]:
    """(FILE:LINE, line, video) of a folder's videos.jsonl. Raises InputError naming the wrong line."""
    path = folder / MAP
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}", fix="write one line per video, see the docs") from None
    return _parsed(folder, data)


@lru_cache(maxsize=1)
def _parsed(folder: Path, data: bytes) -> list[tuple[str, VideoLine, Path]]:
    found: list[tuple[str, VideoLine, Path]] = []
    known: dict[str, str] = {}
    for number, item in json_lines(data, str(folder / MAP), FIX):
        where = f"{folder / MAP}:{number}"
        try:
            line = VideoLine.model_validate(item)
        except ValidationError as error:
            raise InputError(f"{where}: {describe_errors(error)}", fix=FIX) from None
        video = folder / line.file
        if not video.is_file():
            raise InputError(f"{where}: {video} does not exist", fix="correct the file name")
        if line.file in known:
            raise InputError(f"{where}: {line.file} stands in {known[line.file]} already", fix="remove one of them")
        known[line.file] = where
        found.append((where, line, video))
    return found
