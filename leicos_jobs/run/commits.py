"""Commits: first the bytes, verified and named by content; then a record, create-if-absent, which makes them count.

A record's key is a hash of stage, stage version, settings and the digests of all inputs: work to do is a sample
without a record under the *current* key, so a new model or setting makes old results stale, never wrong. Losing the
race to commit is success: the winner's record is returned and the loser's bytes are an orphan for `gc`.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from leicos_jobs import __version__
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import DefectError
from leicos_jobs.core.validation import parsed
from leicos_jobs.run import layout
from leicos_jobs.store import KeyMissingError, Store

KEY_BITS = 96


class Record(BaseModel):
    """The commit record of a sample in a stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    sample: str
    object: str | None = None
    """Key of the bytes, or None for a stage whose result is `facts`."""
    sha256: str | None = None
    size: int | None = None
    inputs: dict[str, str] = Field(default_factory=dict)
    """Digest of everything that went in, by name."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What the stage found: frame count, scores, seconds."""
    attempt: dict[str, Any] = Field(default_factory=dict)
    """Who did it: host, version, image, git commit. Not part of any identity."""

    def digest(self) -> str:
        """Digest of the result (not of who made it), for keys of later stages."""
        facts = {name: value for name, value in self.facts.items() if name != "seconds"}
        return digest_of([self.stage, self.key, self.sample, self.sha256, facts])


class StageRecord(BaseModel):
    """The commit record of a stage that is done as a whole, e.g. convert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    key: str
    files: dict[str, str] = Field(default_factory=dict)
    """Key -> sha256 of every file the stage made."""
    facts: dict[str, Any] = Field(default_factory=dict)
    attempt: dict[str, Any] = Field(default_factory=dict)

    def digest(self) -> str:
        """Digest of the result."""
        return digest_of([self.stage, self.key, self.files])


def make_key(stage: str, version: int, settings: Any, inputs: dict[str, str]) -> str:
    """Key of a record: stage, its version, settings and input digests."""
    return digest_of({"stage": stage, "version": version, "settings": settings, "inputs": inputs}, KEY_BITS)


def attempt_facts(**more: Any) -> dict[str, Any]:
    """Who does the work, for records."""
    facts = {
        "host": platform.node(),
        "leicos": __version__,
        "git": os.environ.get("LEICOS_GIT_COMMIT"),
        "image": os.environ.get("LEICOS_IMAGE_DIGEST"),
        "retry": os.environ.get("LEICOS_ATTEMPT"),
    }
    return {name: value for name, value in (facts | more).items() if value not in (None, "")}


def made_again(stage: str) -> str:
    """What to do about a damaged file of a whole stage."""
    return f"remove {layout.stage_record(stage)} and start the run again: the stage is done anew"


class Commits:
    """Records of one run."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, stage: str, sample: str, key: str) -> Record | None:
        """The record of a sample under a key, or None if the work is still to do."""
        name = layout.sample_record(stage, sample, key)
        try:
            data = self.store.read(name)
        except KeyMissingError:
            return None
        return parsed(Record, data, f"{self.store.uri}/{name}")

    def commit(self, record: Record, path: Path | None = None) -> Record:
        """Write the bytes at `path` (already verified), then the record; return the record that counts."""
        if path is not None:
            sha256 = sha256_file(path)
            name = layout.sample_object(record.stage, record.sample, sha256, path.suffix)
            self.store.upload(name, path)
            record = record.model_copy(update={"object": name, "sha256": sha256, "size": path.stat().st_size})
        data = record.model_dump_json(exclude_none=True).encode()
        name = layout.sample_record(record.stage, record.sample, record.key)
        return parsed(Record, self.store.create(name, data), f"{self.store.uri}/{name}")

    def fetch(self, record: Record, scratch: Path) -> Path:
        """The bytes of a record as a local file, checked against its sha256. Raises DefectError if they differ."""
        if record.object is None:
            raise DefectError(f"sample {record.sample}, stage {record.stage}: the record has no object")
        path = self.store.fetch(record.object, scratch)
        if sha256_file(path) != record.sha256:
            raise DefectError(f"{record.object}: bytes differ from the record's sha256; was the object edited?")
        return path

    def stage(self, stage: str, key: str | None = None) -> StageRecord | None:
        """The record of a whole stage if it is done (under `key`, where one is given)."""
        name = layout.stage_record(stage)
        try:
            record = parsed(StageRecord, self.store.read(name), f"{self.store.uri}/{name}")
        except KeyMissingError:
            return None
        return record if key is None or record.key == key else None

    def begin_stage(self, stage: str) -> None:
        """Withdraw the record before its files are made anew: half-made files must not look finished."""
        self.store.delete(layout.stage_record(stage))

    def commit_stage(self, record: StageRecord) -> StageRecord:
        """Make a whole stage count."""
        self.store.put(layout.stage_record(record.stage), record.model_dump_json().encode())
        return record
