"""Cosmos-Predict2.5's inputs: the post-training folder and the lines of the batch jsonl.

The schema is upstream's `InferenceArguments` at commit 7e5ffc83 (docs/decisions/cosmos.md 1.1), with what upstream
leaves open closed: it validates the whole batch before it loads the model and one bad line ends the pod, so a line that
leaves here must be right.
"""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from leicos_jobs.core.errors import InputError
from leicos_jobs.media.errors import VideoError

TUTORIAL_NEGATIVE_PROMPT = (
    "The video captures a series of frames showing ugly scenes, static with no motion, motion blur, "
    "over-saturation, shaky footage, low resolution, grainy texture, pixelated images, poorly lit areas, "
    "underexposed and overexposed scenes, poor color balance, washed out colors, choppy sequences, jerky "
    "movements, low frame rate, artifacting, color banding, unnatural transitions, outdated special effects, fake "
    "elements, unconvincing visuals, poorly edited content, jump cuts, visual noise, and flickering. Overall, the "
    "video is of poor quality."
)
"""Of the tutorial's generate_batch_config.py, word for word upstream's default."""

GENERIC_PROMPT = "The robot arm is performing a task"
"""What the tutorial's script writes without --use-prompt."""

NATIVE_FRAMES = 93
"""Frames the 2B model makes in one go, whatever the chunk size: 4 * (24 - 1) + 1."""

CONDITIONING_FRAMES = {"text2world": 0, "image2world": 1, "video2world": 5}
"""Pixel frames of the input that the output begins with; of a video the last ones."""

_SUFFIXES = {"image2world": (".png", ".jpg", ".jpeg", ".webp", ".mp4"), "video2world": (".mp4",)}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,120}")


def prompt_for(text: str, *, use_prompt: bool = True, form: Literal["underscored", "prose"] = "underscored") -> str:
    """The one prompt that training and generation both see, from a task text such as `Lift the red cube up.`.

    form underscored: `Lift_the_red_cube_up`, as the tutorial trains; prose: its inference sentence and the text.
    use_prompt off: the generic sentence alone, as the tutorial's script has it. Raises InputError if the text has no
    words.
    """
    if not use_prompt:
        return GENERIC_PROMPT
    words = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)
    if not words:
        raise InputError(f"the task text {text!r} has no words", fix='give a sentence, e.g. "Lift the red cube up."')
    return "_".join(words) if form == "underscored" else f"{GENERIC_PROMPT}. {text.strip()}"


def chunk_count(frames: int, chunk_size: int = 77, chunk_overlap: int = 1) -> int:
    """How many times the model runs for a video of `frames` frames: 1 + ceil((N - size) / (size - overlap))."""
    return max(1, 1 + math.ceil((frames - chunk_size) / (chunk_size - chunk_overlap)))


def spaced_seed(first: int, variant: int, chunks: int) -> int:
    """Seed of the `variant`-th video of one start: chunk k of a video uses seed + k, so seeds stand `chunks` apart."""
    return first + variant * chunks


class BatchLine(BaseModel):
    """One line of the batch jsonl, with every field of upstream's schema and the tutorial's values as defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    inference_type: Literal["text2world", "image2world", "video2world"] = "video2world"
    prompt: str = Field(min_length=1)
    prompt_path: None = None
    input_path: str | None = None
    negative_prompt: str = TUTORIAL_NEGATIVE_PROMPT
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 21
    guidance: Annotated[int, Field(ge=0, le=7)] = 7
    resolution: str = "480,640"
    num_output_frames: Annotated[int, Field(gt=0)] = 210
    num_steps: Annotated[int, Field(gt=0)] = 35
    enable_autoregressive: bool = True
    chunk_size: Annotated[int, Field(gt=0, le=NATIVE_FRAMES)] = 77
    chunk_overlap: Annotated[int, Field(gt=0)] = 1

    @field_validator("name")
    @classmethod
    def _safe_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("must be 1 to 120 of A-Z a-z 0-9 _ -: it becomes a file name")
        return name

    @field_validator("resolution")
    @classmethod
    def _height_width(cls, text: str) -> str:
        match = re.fullmatch(r"(\d+),(\d+)", text)
        if text != "none" and not (match and all(int(side) > 0 and int(side) % 16 == 0 for side in match.groups())):
            raise ValueError('must be "none" or "height,width" in multiples of 16, e.g. "480,640"')
        return text

    @model_validator(mode="after")
    def _fits(self) -> BatchLine:
        suffixes = _SUFFIXES.get(self.inference_type)
        if suffixes:
            if self.input_path is None:
                raise ValueError(f"input_path is required for {self.inference_type}")
            if not self.input_path.endswith(suffixes):
                raise ValueError(f"input_path must end in {', '.join(suffixes)} (lower case) for {self.inference_type}")
            if self.input_path.startswith("~"):
                raise ValueError("input_path must not begin with ~: upstream does not expand it")
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError("chunk_overlap must be smaller than chunk_size")
        return self

    @property
    def chunks(self) -> int:
        """How many times the model runs for it, which is also how many seeds it uses."""
        if not self.enable_autoregressive:
            return 1
        return chunk_count(self.num_output_frames, self.chunk_size, self.chunk_overlap)

    @property
    def output_frames(self) -> int:
        """Frames the finished video has: the native length unless autoregressive."""
        return self.num_output_frames if self.enable_autoregressive else NATIVE_FRAMES

    def line(self) -> str:
        """The JSON line as upstream reads it: every field but the empty ones, with a newline."""
        return self.model_dump_json(exclude_none=True) + "\n"


def trains(frames: int, native: int = NATIVE_FRAMES) -> bool:
    """Whether Cosmos can post-train on a clip of so many frames: it draws from strictly longer clips only."""
    return frames > native


def write_post_training(root: Path, clips: Iterable[tuple[Path, str]]) -> int:
    """Write videos/N.mp4 and metas/N.txt, N from 1, of (H.264 video, prompt in its form); returns how many.

    Clips that are too short (see `trains`) are the caller's to leave out and to count. Raises InputError if there is
    none, VideoError if one is missing, too short or not H.264: upstream would replace it silently by another one.
    """
    from leicos_jobs.media.probe import probe  # brings PyAV: ids and keys need the rest of this module alone

    for part in ("videos", "metas"):
        (root / part).mkdir(parents=True, exist_ok=True)
    number = 0
    for number, (video, prompt) in enumerate(clips, start=1):
        info = probe(video)
        if info.codec != "h264":
            raise VideoError(video, "codec", f"is {info.codec}, not h264", fix="transcode it")
        if not trains(info.frames):
            raise VideoError(video, "frames", f"has {info.frames} frames; Cosmos draws {NATIVE_FRAMES} out of more")
        shutil.copyfile(video, root / "videos" / f"{number}.mp4")
        (root / "metas" / f"{number}.txt").write_text(prompt, encoding="utf-8")
    if not number:
        raise InputError(f"{root}: no clip is longer than {NATIVE_FRAMES} frames, so Cosmos cannot be post-trained")
    return number


@dataclass(frozen=True)
class Clip:
    """One of the post-training folder. number: N of videos/N.mp4; 0 for a name that is no number."""

    number: int
    video: Path
    prompt: str
    frames: int


def read_post_training(root: Path) -> list[Clip]:
    """The clips of a post-training folder, by number.

    Raises InputError: no clip, no prompt, a folder captions/ that would overrule metas/; VideoError: not H.264.
    """
    videos = sorted(
        (root / "videos").glob("*.mp4"), key=lambda path: (not path.stem.isdecimal(), len(path.stem), path.stem)
    )
    if not videos:
        raise InputError(f"{root / 'videos'} has no mp4", fix="run `leicos cosmos-dataset` first")
    if (root / "captions").exists():
        raise InputError(f"{root / 'captions'} would overrule metas/", fix="remove it")
    from leicos_jobs.media.probe import probe  # as above

    clips = []
    for video in videos:
        info = probe(video)
        if info.codec != "h264":
            raise VideoError(
                video, "codec", f"is {info.codec}, which upstream's reader passes over", fix="transcode it"
            )
        text = root / "metas" / f"{video.stem}.txt"
        prompt = text.read_text().strip() if text.is_file() else ""
        if not prompt:
            raise InputError(f"{text} is missing or empty", fix="write the clip's prompt into it")
        clips.append(Clip(int(video.stem) if video.stem.isdecimal() else 0, video, prompt, info.frames))
    return clips
