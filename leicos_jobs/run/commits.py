"""Commits: first the bytes, verified and named by content; then a record, create-if-absent, which makes them count.

A record's key is a hash of stage, stage version, settings and the digests of all inputs: work to do is what has no
record under the *current* key, so a new model or setting makes old results stale, never wrong. That holds for samples
and for stages that are done as a whole. Losing the race to commit is success: the winner's record is returned and the
loser's bytes are an orphan for `gc`. A record or its bytes read here are compared with what was written.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from leicos_jobs import __version__
from leicos_jobs.core.digests import digest_of, sha256_bytes, sha256_file
from leicos_jobs.core.errors import DefectError
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.sealed import DamageError
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
    """What the stage says of its result: frame count, scores, seconds."""
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
    folder: str = ""
    """Where its files lie in the run; named by their content."""
    files: dict[str, str] = Field(default_factory=dict)
    """Name in the folder -> sha256 of every file the stage made."""
    provenance: tuple[str, ...] = ()
    """Those that only tell where something came from (names, paths): no part of the result."""
    facts: dict[str, Any] = Field(default_factory=dict)
    attempt: dict[str, Any] = Field(default_factory=dict)

    def digest(self) -> str:
        """Digest of the result: of its files, whatever they were made from."""
        return digest_of([self.stage, {name: sha for name, sha in self.files.items() if name not in self.provenance}])

    def path(self, name: str) -> str:
        """Key of one of its files. Raises DefectError for a name that it has not."""
        if name not in self.files:
            raise DefectError(f"{self.stage} made no file {name}")
        return f"{self.folder}/{name}"


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


class Commits:
    """Records of one run, and the bytes that they name."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get(self, stage: str, sample: str, key: str) -> Record | None:
        """The record of a sample under a key, or None if the work is still to do. Raises DamageError."""
        name = layout.sample_record(stage, sample, key)
        try:
            return self._parsed(name, self.store.read(name))
        except KeyMissingError:
            return None

    def _parsed(self, name: str, data: bytes) -> Record:
        record = sealed.load(Record, data, name, self.store.uri)
        if layout.sample_record(record.stage, record.sample, record.key) != name:
            what = f"it is the record of sample {record.sample}, stage {record.stage}, key {record.key}"
            raise DamageError(name, self.store.uri, what)
        return record

    def commit(self, record: Record, path: Path | None = None) -> Record:
        """Write the bytes at `path` (already verified), then the record; return the record that counts."""
        if path is not None:
            sha256 = sha256_file(path)
            name = layout.sample_object(record.stage, record.sample, sha256, path.suffix)
            self.store.upload(name, path)
            record = record.model_copy(update={"object": name, "sha256": sha256, "size": path.stat().st_size})
        name = layout.sample_record(record.stage, record.sample, record.key)
        return self._parsed(name, self.store.create(name, sealed.dump(record)))

    def fetch(self, record: Record, scratch: Path) -> Path:
        """The bytes of a record as a local file. Raises DamageError if they are not what the record says."""
        if record.object is None or record.sha256 is None:
            raise DefectError(f"sample {record.sample}, stage {record.stage}: the record has no object")
        return self.fetch_object(record.object, record.sha256, scratch)

    def whole(self, stage: str, key: str) -> StageRecord | None:
        """The record of a whole stage under a key, None if it is still to do. Raises DamageError."""
        name = layout.stage_record(stage, key)
        try:
            return self._parsed_whole(name, self.store.read(name))
        except KeyMissingError:
            return None

    def _parsed_whole(self, name: str, data: bytes) -> StageRecord:
        record = sealed.load(StageRecord, data, name, self.store.uri)
        if layout.stage_record(record.stage, record.key) != name:
            raise DamageError(name, self.store.uri, f"it is the record of stage {record.stage}, key {record.key}")
        return record

    def commit_whole(self, record: StageRecord) -> StageRecord:
        """Make a whole stage count; return the record that does."""
        name = layout.stage_record(record.stage, record.key)
        return self._parsed_whole(name, self.store.create(name, sealed.dump(record)))

    def read_file(self, record: StageRecord, name: str) -> bytes:
        """A file of a whole stage. Raises DamageError if it is not what the record says."""
        return self.read_object(record.path(name), record.files[name])

    def read_lines(self, record: StageRecord, name: str) -> Iterator[bytes]:
        """The lines of such a file that are not empty."""
        return (line for line in self.read_file(record, name).split(b"\n") if line.strip())

    def fetch_file(self, record: StageRecord, name: str | PurePath, scratch: Path) -> Path:
        """The same as a local file."""
        plain = PurePath(name).as_posix()
        return self.fetch_object(record.path(plain), record.files[plain], scratch)

    def read_object(self, key: str, sha256: str) -> bytes:
        """An object's bytes, compared with their digest. Raises DamageError."""
        try:
            data = self.store.read(key)
        except KeyMissingError:
            raise DamageError(key, self.store.uri, "it is missing") from None
        if sha256_bytes(data) != sha256:
            raise DamageError(key, self.store.uri, "its bytes differ from the digest in its record")
        return data

    def fetch_object(self, key: str, sha256: str, scratch: Path) -> Path:
        """The same as a local file."""
        try:
            path = self.store.fetch(key, scratch)
        except KeyMissingError:
            raise DamageError(key, self.store.uri, "it is missing") from None
        if sha256_file(path) != sha256:
            raise DamageError(key, self.store.uri, "its bytes differ from the digest in its record")
        return path
