"""The real worker over the tiny model: killed at random moments, and what its workers share."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "torchvision", reason="COSMOS' WORKER WAS NOT TESTED: torchvision is not installed", exc_type=ImportError
)
pytest.importorskip(
    "diffusers", reason="COSMOS' WORKER WAS NOT TESTED: diffusers is not installed", exc_type=ImportError
)
from cosmos_tiny import generator, request, results, write_weights
from helpers.generate_worker import (
    DIFFUSERS,
    ForkedWorker,
    assert_all_committed,
    kill_and_finish,
    make_run,
    start_worker,
)

from leicos_jobs.media.decode import read_all
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.orphans import orphans

SETTINGS = {"size": "tiny", "steps": 2}
FRAMES = 13
COMPARED = 20
"""Samples that are made again without a worker."""


def survive(tmp_path: Path, samples: int, kills: int, longest: float) -> None:
    root = tmp_path / "run"
    prompts = ["lift", "drop"] * (samples // 2)
    # a killed child looks like a poison sample's doing, and chance may hit the same one three times
    plan = make_run(root, prompts, SETTINGS, quarantine_after=1000, backend=DIFFUSERS, frames=FRAMES)
    kill_and_finish(root, kills, {}, 3, longest, (signal.SIGKILL, signal.SIGTERM), ForkedWorker)
    assert_all_committed(root, plan)
    run = open_run(str(root))
    assert len([key for key in run.store.list("generate/") if key.endswith(".mp4")]) == samples
    clip = root.parent / f"{root.name}.mp4"
    chosen = plan[:: max(1, samples // COMPARED)]
    wanted = [
        request(tmp_path / "again", item.id, prompt=item.prompt, seed=item.seed, frames=FRAMES, clip=clip)
        for item in chosen
    ]
    undisturbed = results(generator(tmp_path), wanted)
    for item in chosen:
        [video] = root.glob(f"generate/{item.id}/*.mp4")
        again = tmp_path / "again" / item.id / "video.mp4"
        apart = np.abs(read_all(video).astype(int) - read_all(again)).mean()
        # a sum's last bit, and then a pixel, may be another one on a machine that does much at once
        assert apart < 0.1, f"{item.id} has another sample's video"
    assert len(set(undisturbed.values())) == len(chosen)


def test_three_kills(tmp_path: Path) -> None:
    survive(tmp_path, 12, 3, longest=1.5)


@pytest.mark.soak
def test_fifty_kills(tmp_path: Path) -> None:
    survive(tmp_path, 240, 50, longest=12.0)


def encoded(root: Path) -> int:
    """Texts that workers of a run gave to the text encoder."""
    lines = (root.parent / f"{root.name}.log").read_text().splitlines()
    return sum(int(line.rpartition("new=")[2].split()[0]) for line in lines if "cosmos.prompts_encoded" in line)


def test_a_prompt_is_encoded_once_in_a_run_and_again_if_what_was_kept_is_damaged(tmp_path: Path) -> None:
    root, hub = tmp_path / "run", write_weights(tmp_path / "hub")
    plan = make_run(root, ["lift"], SETTINGS | {"weights": str(hub)}, backend=DIFFUSERS, frames=FRAMES)
    [sample] = plan

    def work() -> bytes:
        assert start_worker(root, {}).wait(600) == 0
        [record, video] = sorted(root.glob(f"generate/{sample.id}/*"), key=lambda path: path.suffix)
        made = video.read_bytes()
        record.unlink()  # the next worker, on another machine, makes it again
        video.unlink()
        return made

    first = work()
    assert encoded(root) == 2  # the prompt and the negative one
    kept = sorted(root.glob("shared/prompts/*"))
    assert len(kept) == 2
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert work() == first
    assert encoded(root) == 3
    assert kept[0].read_bytes() == whole
    run = open_run(str(root))
    assert not [key for key in orphans(run) if key.startswith("shared/")]
    run.store.put("shared/prompts/of-another-encoder.safetensors", b"")
    assert [key for key in orphans(run) if key.startswith("shared/")] == [
        "shared/prompts/of-another-encoder.safetensors"
    ]
