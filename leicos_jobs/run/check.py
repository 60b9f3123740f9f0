"""Every object of a run compared once with what was written: records with their seals, bytes with their records.

What is damaged is named with what must be removed so that it is done again; `repair` removes it. Keys hold the digests
of everything that went in, so what is done again fits what stayed, or makes that stale.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.digests import sha256_file
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.parallel import in_parallel
from leicos_jobs.core.stages import SAMPLE, STAGES, WHOLE
from leicos_jobs.run import inputs, layout, sealed
from leicos_jobs.run.calibration import Calibration
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.failures import Failure
from leicos_jobs.run.opened import RunFile, parse_run_file
from leicos_jobs.run.refusals import Stop
from leicos_jobs.run.rounds import Round
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.run.starts import Start
from leicos_jobs.store import KeyMissingError, Store, open_store

Take = Callable[[bytes], None]
Progress = Callable[[int, int], None]
"""Called with (objects looked at, objects in all)."""
ALONE: dict[str, type[BaseModel]] = {"calibrations": Calibration, "stops": Stop}
"""Folders of records that say nothing of other objects."""
SAMPLE_STAGES = {STAGES[name].prefix: name for name in SAMPLE}
CACHES = ("resume", "timings", "workers", "logs", "argo", layout.shared())
"""Folders that nothing is believed from."""


class Damaged(BaseModel):
    """An object that is not what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    what: str
    remove: tuple[str, ...]
    """Keys to remove so that it is made again."""


class CheckResult(BaseModel):
    """What a check of a run says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    objects: int
    """Looked at."""
    uncounted: int
    """Objects that no record names: left over from interrupted work; `leicos gc` removes them."""
    damaged: tuple[Damaged, ...]
    repaired: bool

    def text(self) -> str:
        """For people."""
        lines = [f"{item.key}: {item.what}" for item in self.damaged]
        left = f", {self.uncounted} that no record names (see `leicos gc`)" if self.uncounted else ""
        lines.append(f"{self.run}: {self.objects} objects, {len(self.damaged)} damaged{left}")
        if self.damaged and self.repaired:
            lines.append("what was damaged is removed: start the run again, and it is done again")
        return "\n".join(lines)


@dataclass
class _Look:
    """What the records say of the bytes. expected: key -> (sha256, keys to remove if it differs)."""

    store: Store
    keys: frozenset[str]
    expected: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    damaged: list[Damaged] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    starts: set[str] = field(default_factory=set)
    """Keys of the starts that a plan names."""

    def note_starts(self, plan: bytes) -> None:
        """Note the starts that a sound plan's samples name."""
        self.starts |= {layout.start(str(json.loads(line)["start"])) for line in plan.split(b"\n") if line.strip()}

    def take(self, key: str, data: bytes, take: Take) -> None:
        """Look at a record's bytes."""
        self.seen.add(key)
        try:
            take(data)
        except InputError as error:
            self.damaged.append(Damaged(key=key, what=_what(error, key), remove=self.with_plan(key)))

    def with_plan(self, key: str) -> tuple[str, ...]:
        """A start is made by the plan: it must be planned again."""
        return (key, *self._plans) if key.startswith("starts/") else (key,)

    @cached_property
    def _plans(self) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.keys if name.startswith("records/plan/")))

    def expect(self, key: str, sha256: str, record: str) -> None:
        """Note what bytes must be."""
        remove = tuple(dict.fromkeys((key, *self.expected.get(key, ("", ()))[1], *self.with_plan(record))))
        self.expected[key] = (sha256, remove)


def check(uri: str, *, repair: bool = False, progress: Progress | None = None) -> CheckResult:
    """Check all objects of a run; with `repair` remove what is damaged. Raises InputError if there is no run."""
    store = open_store(uri)
    keys = frozenset(key for key in store.list("") if key.split("/")[0] not in CACHES and not layout.is_claim(key))
    if layout.RUN not in keys:
        raise InputError(f"{store.uri} is not a run: it has no run.json", fix="check the URI")
    look = _Look(store, keys)
    say = progress or (lambda _done, _total: None)
    _run_file(look)
    takes = {key: take for key in sorted(keys) if (take := _record(look, key)) is not None}
    for key, data in zip(takes, in_parallel(partial(_read, store), takes), strict=True):
        if data is not None:  # else removed meanwhile
            look.take(key, data, takes[key])
            say(len(look.seen), len(keys))
    _bytes(look, say)
    for key in sorted(look.expected.keys() - keys):
        look.damaged.append(Damaged(key=key, what="it is missing", remove=look.expected[key][1]))
    for key in sorted(look.starts - keys):
        look.damaged.append(Damaged(key=key, what="it is missing", remove=look.with_plan(key)))
    damaged = tuple(sorted(look.damaged, key=lambda item: item.key))
    if repair:
        for key in dict.fromkeys(key for item in damaged for key in item.remove):
            store.delete(key)
    left = len(keys - look.seen)
    return CheckResult(
        run=store.uri, objects=len(look.seen), uncounted=left, damaged=damaged, repaired=repair and bool(damaged)
    )


def _run_file(look: _Look) -> None:
    """Look at run.json. Raises InputError if it is of another version: that is refused, and no damage."""
    data = look.store.read(layout.RUN)
    try:
        parse_run_file(data, look.store.uri)
    except DamageError as error:
        look.damaged.append(Damaged(key=layout.RUN, what=_what(error, layout.RUN), remove=(layout.RUN,)))
    look.seen.add(layout.RUN)


def _read(store: Store, key: str) -> bytes | None:
    try:
        return store.read(key)
    except KeyMissingError:
        return None


def _record(look: _Look, key: str) -> Take | None:
    """What to do with a key's bytes if it is a record's: raise what is wrong with it, note what it says of others."""
    parts, uri = key.split("/"), look.store.uri
    if parts[0] == "records" and len(parts) == 3 and parts[1] in WHOLE:
        return lambda data: _whole(look, key, sealed.load(StageRecord, data, key, uri))
    if parts[0] in SAMPLE_STAGES and len(parts) == 3 and key.endswith(".json"):
        return lambda data: _sample(look, key, sealed.load(Record, data, key, uri))
    if parts[0] == "starts" and len(parts) == 2:
        return lambda data: _start(look, key, sealed.load(Start, data, key, uri))
    if parts[0] in ALONE and key.endswith(".json"):
        return lambda data: _ignore(sealed.load(ALONE[parts[0]], data, key, uri))
    if parts[0] == "failures":
        return lambda data: _failure(key, uri, sealed.load(Failure, data, key, uri))
    if parts[0] == "rounds" and parts[-1] == "round.json":
        return lambda data: _ignore(sealed.load(Round, data, key, uri))
    if parts[0] == layout.SOURCES and key.endswith(".sha256.json"):
        return lambda data: _upload(look, key, data)
    if len(parts) == 1 and key.startswith("run-"):
        return lambda data: _ignore(sealed.load(RunFile, data, key, uri))
    return None


def _ignore(_model: BaseModel) -> None:
    """It is sealed: there is no more to say of it."""


def _whole(look: _Look, key: str, record: StageRecord) -> None:
    _require(key, layout.stage_record(record.stage, record.key), look)
    for name, sha256 in record.files.items():
        look.expect(record.path(name), sha256, key)


def _sample(look: _Look, key: str, record: Record) -> None:
    _require(key, layout.sample_record(record.stage, record.sample, record.key), look)
    if record.object is not None and record.sha256 is not None:
        look.expect(record.object, record.sha256, key)
        if (truth := record.facts.get("truth")) is not None:
            look.expect(layout.truth(record.sample, record.sha256, str(truth)), str(truth), key)


def _start(look: _Look, key: str, start: Start) -> None:
    _require(key, layout.start(start.identity), look)
    look.expect(layout.clip(start.identity, start.clip_sha256), start.clip_sha256, key)


def _failure(key: str, uri: str, failure: Failure) -> None:
    if not key.startswith(layout.failures(failure.stage, failure.sample)):
        raise DamageError(key, uri, f"it is a failure of sample {failure.sample} in {failure.stage}")


def _upload(look: _Look, key: str, data: bytes) -> None:
    try:
        sha256 = str(json.loads(data)["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamageError(key, look.store.uri, "it does not say a sha256") from None
    file = key.removesuffix(inputs.upload_note(""))
    look.expect(file, sha256, key)


def _require(key: str, wanted: str, look: _Look) -> None:
    if key != wanted:
        raise DamageError(key, look.store.uri, f"it is what belongs at {wanted}")


def _bytes(look: _Look, say: Progress) -> None:
    """Compare every object that a record names, and every one that is named by its content."""
    todo = [key for key in sorted(look.keys - look.seen) if key in look.expected or _by_content(key)]
    total = len(look.seen) + len(todo)
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        for key, problem in zip(todo, in_parallel(partial(_compare, look, Path(name)), todo), strict=True):
            look.seen.add(key)
            if problem is not None:
                remove = look.expected.get(key, ("", (key,)))[1]
                look.damaged.append(Damaged(key=key, what=problem, remove=remove))
            say(len(look.seen), total)


def _compare(look: _Look, scratch: Path, key: str) -> str | None:
    try:
        path = look.store.fetch(key, scratch)
    except KeyMissingError:
        return None if key not in look.expected else "it is missing"
    try:
        digest = sha256_file(path)
        if key not in look.expected:
            return None if digest.startswith(_by_content(key)) else "its bytes differ from the digest in its name"
        if digest != look.expected[key][0]:
            return "its bytes differ from the digest in its record"
        if key.startswith(f"{STAGES['plan'].prefix}/") and key.endswith(f"/{layout.SAMPLES}"):
            look.note_starts(path.read_bytes())
        return None
    finally:
        look.store.release(path)


def _by_content(key: str) -> str:
    """The digest in the name of an object that is named by its content; empty for another."""
    parts = key.split("/")
    if len(parts) == 3 and parts[0] in (*SAMPLE_STAGES, "starts", "truth"):
        return parts[2].rpartition(".")[0].rpartition("-")[2]
    return ""


def _what(error: InputError, key: str) -> str:
    """The message without what names the object again."""
    return error.message.partition(f"{key} is damaged: ")[2] or error.message
