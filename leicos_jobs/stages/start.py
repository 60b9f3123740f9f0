"""start: the first task. It checks configuration and backends before anything is computed, and makes run.json."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from leicos_jobs.core import logs
from leicos_jobs.core.errors import InputError
from leicos_jobs.run import check_config
from leicos_jobs.run.amendment import foresee
from leicos_jobs.run.config import RunConfig, load_config, parse_config
from leicos_jobs.run.inputs import RUN_PREFIX, fingerprints, names
from leicos_jobs.run.opened import Run, create_run, open_run, require_same_inputs
from leicos_jobs.store import S3, KeyMissingError, open_object, open_store

CONFIG_DIRECTORY = "LEICOS_CONFIG_DIRECTORY"
"""Environment variable: where the workflow mounts the ConfigMap that its parameter `config` names."""


def resolve_config(text: str) -> RunConfig:
    """A configuration from inline YAML, an s3:// URI, a mounted ConfigMap's name, or a local file.

    Raises InputError.
    """
    if "\n" in text or text.lstrip().startswith("{"):
        return parse_config(text, "--config")
    if text.startswith(S3):
        store, name = open_object(text)
        try:
            return parse_config(store.read(name), text)
        except KeyMissingError:
            raise InputError(f"there is no configuration at {text}", fix="upload it or correct the URI") from None
    mounted = os.environ.get(CONFIG_DIRECTORY)
    if mounted and "/" not in text:
        files = sorted(path for path in Path(mounted).glob("*") if path.is_file())
        if len(files) != 1:
            raise InputError(
                f"ConfigMap {text!r} holds {len(files)} files, expected one",
                fix="kubectl create configmap NAME --from-file=C",
            )
        return parse_config(files[0].read_bytes(), f"ConfigMap {text}, {files[0].name}")
    return load_config(Path(text))


def require_startable(config: RunConfig) -> None:
    """Refuse what `start` would refuse of a configuration that no run has yet. Raises InputError."""
    check_config.check_backends(config)
    inside = {name: name for name in names(config) if name.startswith(RUN_PREFIX)}  # only the run can tell
    with tempfile.TemporaryDirectory(prefix="leicos-") as nowhere:
        fingerprints(config, open_store(nowhere), inside)


def start(uri: str, config: str, *, amend: bool = False) -> Run:
    """Create or check run.json. An empty `config` goes on with the run's own. Raises InputError."""
    if not config.strip():
        run = open_run(uri)
        check_config.check_backends(run.config)
        if not amend:
            require_same_inputs(run)
            return run
        return amended(uri, run.config)
    resolved = resolve_config(config)
    check_config.check_backends(resolved)
    return amended(uri, resolved) if amend else create_run(uri, resolved)


def amended(uri: str, config: RunConfig, known: Mapping[str, str] | None = None) -> Run:
    """Give a run this configuration, whatever it had. What becomes stale, and what that cost, is said before.

    known: see `create_run`.
    """
    found = fingerprints(config, open_store(uri), known)  # once: it reads every byte of the recordings
    if (amendment := foresee(uri, config, found)) is not None:
        logs.event("start.amend", text=amendment.text())
    return create_run(uri, config, amend=True, known=found)
