"""generate/import: videos that exist already, each mapped to a demo and row0 or refused.

A folder with a `videos.jsonl`: one line per video, {"file": "a.mp4", "demo": "demo_3", "row0": 5, "seed": 21}. A sample
takes the video whose demo, row0 and seed are its own; without one it fails by name, and is quarantined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from typing_extensions import override

from leicos_jobs.backends.base import Generator, Settings, Started
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import json_lines
from leicos_jobs.media.probe import probe
from leicos_jobs.media.remux import restamp, transcode

MAP = "videos.jsonl"
FIX = "give file, demo, row0 and seed in every line"


class ImportSettings(Settings):
    """Settings of the import generator."""

    folder: Path
    """Folder with videos.jsonl and the videos; it must be reachable where the job runs (a mounted volume)."""


class ImportGenerator(Generator[ImportSettings], name="import", version=1):
    """Takes existing videos over: re-stamped to the dataset's rate, transcoded where they are not H.264."""

    def __init__(self, settings: ImportSettings, checkpoint: Path | None, work: Path) -> None:
        """Read the map. Raises InputError naming the line that is wrong."""
        super().__init__(settings, checkpoint, work)
        self.folder = settings.folder
        self.videos = read_map(self.folder)

    @override
    @classmethod
    def folders(cls, settings: ImportSettings) -> tuple[str, ...]:
        return (str(settings.folder),)

    @override
    @classmethod
    def outside(cls, settings: ImportSettings, demo: str, row0: int, seed: int) -> dict[str, str]:
        """The digest of the mapped video; "none" where there is none, so that one which comes later is taken."""
        video = read_map(settings.folder).get((demo, row0, seed))
        return {"video": sha256_file(video) if video else "none"}

    @override
    def process(self, requests: Sequence[GenerateRequest], started: Started) -> Iterator[GenerateResult]:
        """Yield the mapped video of each request. Raises InputError for a sample without one."""
        for request in requests:
            started(request.sample)
            key = (request.demo_name, request.row0, request.seed)
            if key not in self.videos:
                raise InputError(f"no video is mapped to demo, row0, seed {key}", fix=f"add it to {self.folder / MAP}")
            source, target = self.videos[key], request.out_dir / "video.mp4"
            info = probe(source)
            if (info.codec, info.pix_fmt) == ("h264", "yuv420p"):
                restamp(source, target, request.fps)
            else:
                transcode(source, target, fps=request.fps)
            yield GenerateResult(request.sample, target, notes={"imported": source.name})


@lru_cache(maxsize=1)
def _parsed(folder: Path, data: bytes) -> dict[tuple[str, int, int], Path]:
    videos: dict[tuple[str, int, int], Path] = {}
    path = folder / MAP
    for number, item in json_lines(data, str(path), FIX):
        try:
            key = (str(item["demo"]), int(item["row0"]), int(item["seed"]))
            video = folder / str(item["file"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(f"{path}:{number}: {type(error).__name__}: {error}", fix=FIX) from None
        if key in videos:
            raise InputError(f"{path}:{number}: a second video for demo, row0, seed {key}", fix="give it another seed")
        if not video.is_file():
            raise InputError(f"{path}:{number}: {video} does not exist", fix="correct the file name")
        videos[key] = video
    return videos


def read_map(folder: Path) -> dict[tuple[str, int, int], Path]:
    """Video of each (demo, row0, seed) that a folder's videos.jsonl maps. Raises InputError naming the wrong line."""
    path = folder / MAP
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}", fix="write one line per video, see the docs") from None
    return _parsed(folder, data)
