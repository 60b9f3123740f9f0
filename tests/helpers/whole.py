"""Results of whole stages made by hand, under the keys that a run's configuration demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leicos_jobs.core.digests import digest_of, sha256_bytes, sha256_file
from leicos_jobs.core.stages import SAMPLE, STAGES
from leicos_jobs.formats.lerobot_meta import EpisodeLine
from leicos_jobs.formats.lerobot_v21 import META
from leicos_jobs.run import identity, layout, starts
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.episodes import Content, Episode, Origin
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.samples import Sample, dump_lines

ARTIFACT = {"train-idm": "i" * 64, "post-train": "c" * 64}
"""What a training made, where a test does not say."""


def commit_whole(
    run: Run,
    stage: str,
    files: Mapping[str, bytes] | None = None,
    *,
    attempt: Mapping[str, Any] | None = None,
    provenance: tuple[str, ...] = (),
    **facts: Any,
) -> StageRecord:
    """Commit a stage, and before it all that it needs and that is not there."""
    needs = [*STAGES[stage].needs, *(["post-train"] if stage == "plan" and identity.is_trained(run.config) else [])]
    for earlier in needs:
        if Results(run).current(earlier) is None:
            commit_whole(run, earlier)
    key = Results(run).key(stage)
    assert key is not None
    contents = files if files is not None else {layout.SAMPLES: b""} if stage == "plan" else {}
    digests = {name: sha256_bytes(data) for name, data in contents.items()}
    folder = layout.stage_folder(stage, digest_of(digests))
    for name, data in contents.items():
        run.store.put(f"{folder}/{name}", data)
    known = {"artifact": ARTIFACT[stage]} if stage in ARTIFACT else {}
    return run.commits.commit_whole(
        StageRecord(
            stage=stage, key=key, folder=folder, files=digests, provenance=provenance, facts=known | facts,
            attempt=dict(attempt or {}),
        )
    )  # fmt: skip


def commit_plan(run: Run, samples: Sequence[Sample], **more: Any) -> StageRecord:
    """Commit a plan of these samples."""
    return commit_whole(run, "plan", {layout.SAMPLES: dump_lines(samples)}, **more)


def commit_episodes(run: Run, items: Sequence[Episode]) -> StageRecord:
    """Commit a dataset that holds the map of these episodes and nothing else."""
    contents = [Content.model_validate(item.model_dump(include=set(Content.model_fields))) for item in items]
    origins = [Origin.model_validate(item.model_dump(include=set(Origin.model_fields))) for item in items]
    files = {layout.EPISODES: dump_lines(contents), layout.ORIGINS: dump_lines(origins), layout.IMAGES: b""}
    texts = [EpisodeLine(episode_index=item.episode_index, length=item.frames, tasks=[item.task]) for item in items]
    files[META["episodes"]] = dump_lines(texts)
    return commit_whole(run, "convert", files, provenance=(layout.ORIGINS,))


SUFFIX = {"generate": ".mp4", "label": ".parquet"}
"""Of the bytes that a stage commits; the others commit facts alone."""


def tiny_sample(number: int) -> Sample:
    """A sample of a demo that is none."""
    return Sample(
        id=digest_of(number, 80), demo="demo_0", demo_sha256="0" * 64, episode=0, split="train", row0=5, frames=9,
        prompt="", seed=number, start=digest_of(["start", number], 80),
    )  # fmt: skip


def commit_sample(run: Run, sample: Sample, scratch: Path) -> None:
    """All that a run keeps of one sample, in tiny objects: start, clip, a record per stage, video, labels and truth."""
    clip = scratch / f"{sample.id}.mp4"
    clip.write_bytes(f"clip {sample.id}".encode())
    starts.commit(run, sample.start, clip, {"articulation/robot/joint_position": [0.0] * 6})
    for stage in SAMPLE:
        path, facts = None, {"passed": True}
        if stage in SUFFIX:
            path = scratch / f"{sample.id}{SUFFIX[stage]}"
            path.write_bytes(f"{stage} {sample.id}".encode())
        if stage == "generate" and path is not None:
            truth = f"truth {sample.id}".encode()
            facts |= {"truth": sha256_bytes(truth)}
            run.store.put(layout.truth(sample.id, sha256_file(path), sha256_bytes(truth)), truth)
        key = digest_of([stage, sample.id], 96)
        run.commits.commit(Record(stage=stage, sample=sample.id, key=key, facts=facts), path)
