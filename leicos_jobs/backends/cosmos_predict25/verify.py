"""leicos verify cosmos: does generation work on this machine, with its GPU, weights and upstream?

What the tests here cannot show is checked on the real thing: the model loads and its weights fit, the output begins
with the LAST five frames of the input, lengths and sizes come out as asked for, an unreadable clip costs only its own
sample, and how long a video takes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.cosmos_predict25.checkout import find_checkout
from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator, GenerationError
from leicos_jobs.backends.cosmos_predict25.resident import Resident
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.backends.cosmos_predict25.weights import missing, needed
from leicos_jobs.backends.requests import GenerateRequest, GenerateResult
from leicos_jobs.backends.verification import Verification
from leicos_jobs.core.errors import InputError, LeicosError
from leicos_jobs.media.compare import psnr
from leicos_jobs.media.decode import read_all, read_frames
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.probe import verify as verify_video

U8 = NDArray[np.uint8]

FRAMES, WIDTH, HEIGHT, FPS = 93, 640, 480, 30.0
CONDITIONING = 5
CONDITIONING_PSNR = 24.0
"""dB; the gate's own bound between the video's first frames and the clip."""


def verify_cosmos(
    settings: CosmosSettings,
    checkpoint: Path | None = None,
    clip: Path | None = None,
    prompt: str = "The robot arm is performing a task",
    frames: int = FRAMES,
) -> Verification:
    """Check everything that can be checked here. clip: a real clip of at least five frames; unset, a drawn one."""
    found = Verification(CosmosGenerator.name)
    try:
        checkout = find_checkout(settings)
    except InputError as error:
        found.add("upstream", False, str(error))
        return found
    found.add(
        "upstream", None if checkout.commit is None else True, f"{checkout.root} at {checkout.commit or 'unknown'}"
    )
    found.add("gpu", *_gpu())
    lacking = missing(needed() if checkpoint else needed(settings.model))
    if lacking:
        found.add("model cache", not settings.offline and None, "lacks " + "; ".join(lacking))
    else:
        found.add("model cache", True, "all revisions are there")
    with tempfile.TemporaryDirectory(prefix="leicos-verify-") as name:
        work = Path(name)
        begun = time.monotonic()
        try:
            generator = CosmosGenerator(settings, checkpoint, work / "upstream")
        except Exception as error:  # noqa: BLE001 - whatever upstream does is the finding
            found.add("model loads", False, f"{type(error).__name__}: {error}")
            return found
        try:
            found.add("model loads", True, f"{time.monotonic() - begun:.0f} s")
            _weights(found, generator)
            _videos(found, generator, clip or _draw(work / "drawn.mp4"), prompt, frames, work)
        finally:
            generator.close()
    return found


def _gpu() -> tuple[bool, str]:
    if shutil.which("nvidia-smi") is None:
        return False, "no nvidia-smi"
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, (done.stdout or done.stderr).strip().replace("\n", "; ")


def _weights(found: Verification, generator: CosmosGenerator) -> None:
    runner = generator.runner
    if not isinstance(runner, Resident):
        found.add("weights fit", None, "only the Python driver reports it before the first video")
    elif runner.report.found:
        found.add("weights fit", True, "upstream's log: no missing, unexpected or misshapen keys")
    else:
        found.add("weights fit", False, "upstream's debug.log says nothing of them: its form has changed")


def _videos(found: Verification, generator: CosmosGenerator, clip: Path, prompt: str, frames: int, work: Path) -> None:
    """Two good samples around an unreadable one, the second with the first one's seed."""
    broken = work / "broken.mp4"
    broken.write_bytes(b"no video")  # a piece of a clip could still be read: some have their index in front
    clips = [clip, broken, clip]
    requests = [_request(number, item, prompt, frames, work) for number, item in enumerate(clips)]
    made: dict[str, GenerateResult] = {}
    begun, error = time.monotonic(), ""
    try:
        for result in generator.process(requests, lambda _sample: None):
            made[result.sample] = result
    except (GenerationError, LeicosError) as failure:
        error = str(failure)
    except SystemExit:  # the generator's word to its worker; here it must not cost the verdict
        error = "upstream ended without a video; its last lines are above"
    seconds = (time.monotonic() - begun) / max(1, len(made))
    first, last = made.get(requests[0].sample), made.get(requests[2].sample)
    if first is None:
        found.add("video", False, error or "none came")
        return
    info = verify_video(first.video, frames=frames, fps=FPS, size=(WIDTH, HEIGHT))
    found.add("video", True, f"{info.frames} frames {WIDTH}x{HEIGHT} {info.codec}, re-stamped to {FPS:g} frames/s")
    found.add("seconds per video", True, f"{seconds:.0f} s for {frames} frames, {generator.settings.num_steps} steps")
    given, got = read_all(clip)[-CONDITIONING:], _head(first.video)
    values = [psnr(one, _fit(other)) for one, other in zip(got, given, strict=True)]
    passed = float(np.mean(values)) >= CONDITIONING_PSNR
    found.add("begins with the last five frames", passed, f"PSNR {', '.join(f'{value:.1f}' for value in values)} dB")
    found.add(
        "an unreadable clip costs itself", last is not None and bool(error), error.splitlines()[0] if error else ""
    )
    if last is not None:
        same = psnr(read_all(first.video), read_all(last.video))
        found.add("same seed, same video", same > 40, f"PSNR {same:.1f} dB")


def _request(number: int, clip: Path, prompt: str, frames: int, work: Path) -> GenerateRequest:
    out = work / f"out-{number}"
    out.mkdir()
    return GenerateRequest(
        sample=f"{number:020x}", prompt=prompt, seed=21, clip=clip, start={}, fps=FPS, frames=frames, width=WIDTH,
        height=HEIGHT, out_dir=out,
    )  # fmt: skip


def _head(video: Path) -> Sequence[U8]:
    frames = read_frames(video)
    return [next(frames) for _ in range(CONDITIONING)]


def _fit(image: U8) -> U8:
    """As upstream fits a picture: scaled to cover, then cropped in the middle; here by the nearest pixel."""
    scale = max(HEIGHT / image.shape[0], WIDTH / image.shape[1])
    rows = np.minimum((np.arange(int(np.ceil(image.shape[0] * scale))) / scale).astype(int), image.shape[0] - 1)
    columns = np.minimum((np.arange(int(np.ceil(image.shape[1] * scale))) / scale).astype(int), image.shape[1] - 1)
    top, left = (len(rows) - HEIGHT) // 2, (len(columns) - WIDTH) // 2
    return np.asarray(image[rows[top : top + HEIGHT]][:, columns[left : left + WIDTH]])


def _draw(path: Path) -> Path:
    """Ten frames, the first five dark, the last five with a block on the move: which five does upstream use?"""
    images = []
    for index in range(2 * CONDITIONING):
        image = np.full((HEIGHT, WIDTH, 3), 30 if index < CONDITIONING else 150, np.uint8)
        if index >= CONDITIONING:
            left = 100 + 8 * index
            image[180:300, left : left + 120] = (220, 60, 40)
        images.append(image)
    write_video(path, images, FPS, crf=8)
    return path
