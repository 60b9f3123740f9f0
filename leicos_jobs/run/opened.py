"""Opening a run: run.json holds the resolved configuration; a different one is refused unless amended on purpose.

After an amendment what it affects is stale by its keys and is done again; the former file stays beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from leicos_jobs import __version__
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import parsed
from leicos_jobs.run import layout
from leicos_jobs.run.commits import Commits
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.samples import Sample, parse_samples
from leicos_jobs.store import KeyMissingError, Store, open_store


class RunFile(BaseModel):
    """run.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: RunConfig
    digest: str
    leicos: str


@dataclass(frozen=True)
class Run:
    """An opened run."""

    store: Store
    config: RunConfig
    commits: Commits

    def samples(self) -> list[Sample]:
        """The plan. Raises InputError if there is none yet."""
        try:
            return list(parse_samples(self.store.read(layout.SAMPLES), f"{self.store.uri}/{layout.SAMPLES}"))
        except KeyMissingError:
            raise InputError(f"{self.store.uri} has no plan yet", fix="run `leicos plan` first") from None


def config_digest(config: RunConfig) -> str:
    """Digest of a resolved configuration."""
    return digest_of(config.model_dump(mode="json"))


def create_run(uri: str, config: RunConfig, *, amend: bool = False) -> Run:
    """Create run.json, or check that it holds the same configuration.

    Raises InputError naming the fields that differ, unless `amend`.
    """
    store = open_store(uri)
    data = _dump(config)
    winner = store.create(layout.RUN, data)
    if winner != data:
        former = _parse(winner, store.uri)
        if former.config != config:
            if not amend:
                raise InputError(
                    f"{store.uri} was started with another configuration:\n" + _differences(former.config, config),
                    fix="use another run URI, or add --amend to do what this affects again "
                    "(on a cluster: leicos submit RUN --config FILE --amend)",
                )
            store.create(f"run-{former.digest[:16]}.json", winner)
            store.put(layout.RUN, data)
    return Run(store, config, Commits(store))


def open_run(uri: str) -> Run:
    """Open an existing run. Raises InputError if there is none at the URI."""
    store = open_store(uri)
    try:
        data = store.read(layout.RUN)
    except KeyMissingError:
        raise InputError(
            f"{store.uri} is not a run: it has no run.json",
            fix="check the URI, or use `leicos start --run URI --config F`",
        ) from None
    return Run(store, _parse(data, store.uri).config, Commits(store))


def _dump(config: RunConfig) -> bytes:
    file = RunFile(config=config, digest=config_digest(config), leicos=__version__)
    return json.dumps(file.model_dump(mode="json"), indent=2).encode()


def _parse(data: bytes, uri: str) -> RunFile:
    fix = "use the leicos version that started the run, or start it again under another URI"
    return parsed(RunFile, data, f"{uri}/run.json", fix)


def _differences(old: RunConfig, new: RunConfig) -> str:
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    lines = [
        f"  {name}: {before.get(name)!r} there, {after.get(name)!r} given"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return "\n".join(lines)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat |= _flat(item, f"{prefix}.{name}" if prefix else str(name))
    return flat
