"""Results of whole stages made by hand, under the keys that a run's configuration demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leicos_jobs.core.digests import digest_of, sha256_bytes
from leicos_jobs.core.stages import STAGES
from leicos_jobs.run import identity, layout
from leicos_jobs.run.commits import StageRecord
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
    return commit_whole(run, "convert", files, provenance=(layout.ORIGINS,))
