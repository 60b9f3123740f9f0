"""Opening a run: run.json holds the resolved configuration and the fingerprints of what it names.

Another configuration, or a recording that changed under its name, is refused unless amended on purpose. After an
amendment what it affects is stale by its keys and is done again; the former file stays beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from leicos_jobs import __version__
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.robots.embodiment import Embodiment
from leicos_jobs.run import inputs as outside
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.commits import Commits
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.config_former import without_former
from leicos_jobs.store import KeyMissingError, Store, open_store

FORMAT = 2
"""Of a run's layout. 1 (leicos 0.1) bound whole stages to no configuration."""


class RunFile(BaseModel):
    """run.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    config: RunConfig
    inputs: dict[str, str]
    """Fingerprint of every file and folder outside the run that the configuration names."""
    leicos: str

    @field_validator("config", mode="before")
    @classmethod
    def _of_former_versions(cls, config: Any) -> Any:
        return without_former(config)

    def differences(self, other: RunFile) -> list[str]:
        """What another one says differently, one line per field."""
        before, after = _flat(self.config.model_dump(mode="json")), _flat(other.config.model_dump(mode="json"))
        lines = [
            f"  {name}: {before.get(name)!r} there, {after.get(name)!r} given"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        changed = [name for name in self.inputs if name in other.inputs and self.inputs[name] != other.inputs[name]]
        return lines + [f"  {name}: its content has changed" for name in changed]


@dataclass(frozen=True)
class Run:
    """An opened run. inputs: see `RunFile`."""

    store: Store
    config: RunConfig
    inputs: Mapping[str, str]
    commits: Commits

    @cached_property
    def robot(self) -> Embodiment:
        """The robot of the recordings. Raises InputError if its file is gone, changed, or says what cannot be."""
        return outside.robot(self.config, self.store, self.inputs)


def create_run(uri: str, config: RunConfig, *, amend: bool = False, known: Mapping[str, str] | None = None) -> Run:
    """Create run.json, or check that it says the same. known: fingerprints of inputs that are still to be uploaded.

    Raises InputError naming the fields and inputs that differ, unless `amend`.
    """
    store = open_store(uri)
    inputs = outside.fingerprints(config, store, known)
    file = RunFile(format=FORMAT, config=config, inputs=inputs, leicos=__version__)
    data = _dump(file)
    winner = store.create(layout.RUN, data)
    if winner != data and (lines := (former := parse_run_file(winner, store.uri)).differences(file)):
        if not amend:
            raise InputError(
                f"{store.uri} was started with another configuration:\n" + "\n".join(lines),
                fix="use another run URI, or add --amend to do what this affects again "
                "(on a cluster: leicos submit RUN --config FILE --amend)",
            )
        store.create(layout.former(digest_of(former.model_dump(mode="json"))), winner)
        store.put(layout.RUN, data)
    return _run(store, file)


def read_run_file(store: Store) -> RunFile | None:
    """run.json of a store, None if there is none. Raises InputError, DamageError."""
    try:
        return parse_run_file(store.read(layout.RUN), store.uri)
    except KeyMissingError:
        return None


def open_run(uri: str) -> Run:
    """Open an existing run. Raises InputError if there is none at the URI."""
    store = open_store(uri)
    file = read_run_file(store)
    if file is None:
        raise InputError(
            f"{store.uri} is not a run: it has no run.json",
            fix="check the URI, or use `leicos start --run URI --config F`",
        )
    return _run(store, file)


def config_of(uri: str) -> Any:
    """The configuration of a run of any version, as JSON values. Raises InputError if there is none."""
    store = open_store(uri)
    try:
        found = parsed_json(store.read(layout.RUN), f"{store.uri}/{layout.RUN}")
    except KeyMissingError:
        raise InputError(f"{store.uri} is not a run: it has no run.json", fix="check the URI") from None
    if not isinstance(found, dict) or "config" not in found:
        raise sealed.DamageError(layout.RUN, store.uri, "it holds no configuration")
    return found["config"]


def require_same_inputs(run: Run) -> None:
    """Look at the inputs again. Raises InputError that names the one that changed or is gone."""
    for name, fingerprint in outside.fingerprints(run.config, run.store).items():
        outside.require_same(name, fingerprint, run.inputs.get(name, fingerprint))


def _run(store: Store, file: RunFile) -> Run:
    return Run(store, file.config, file.inputs, Commits(store))


def _dump(file: RunFile) -> bytes:
    return json.dumps(json.loads(sealed.dump(file)), indent=2).encode()


def parse_run_file(data: bytes, uri: str) -> RunFile:
    """run.json of the run at `uri`. Raises InputError if it is of another version, DamageError."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise sealed.DamageError(layout.RUN, uri, "it is not JSON") from None
    if isinstance(found, dict) and "config" in found and found.get("format", 1) != FORMAT:
        raise InputError(
            f"{uri} was started by leicos {found.get('leicos', '?')}, whose runs this version cannot continue",
            fix=f"use that version, or start again under another URI: `leicos config {uri}` prints the configuration",
        )
    return sealed.load(RunFile, data, layout.RUN, uri)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat |= _flat(item, f"{prefix}.{name}" if prefix else str(name))
    return flat
