"""All that enters ids and keys: what determines a sample, and what determines the result of a stage."""

from __future__ import annotations

from typing import Any

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Kind
from leicos_jobs.run.chain import ChainSettings
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run


def backend_identity(stage: Kind, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Name, version, upstream commit and the settings that the backend says determine a result: by default those that
    differ from their defaults, so that a new setting does not disown old work; a changed default must raise `version`.
    """
    backend = registry.load(stage, name)
    return {
        "name": name,
        "version": backend.version,
        "upstream": backend.upstream,
        "settings": backend.identity(registry.settings(stage, name, settings)),
    }


def generator_identity(config: RunConfig) -> dict[str, Any]:
    """Identity of the generator. How one was trained is in its checkpoint's digest, not here."""
    return backend_identity("generate", config.generate.backend, config.generate.settings)


def chain_settings(config: RunConfig, idm_digest: str | None) -> ChainSettings:
    """What enters the keys of the per-sample stages."""
    replay = backend_identity("replay", config.replay.backend, config.replay.settings)
    return ChainSettings(
        gate=_gate_identity(config),
        label=backend_identity("label", config.idm.backend, config.label.settings),
        replay=replay | {"hold": config.replay.hold, "repeats": config.replay.repeats},
        idm_digest=idm_digest,
    )


def _gate_identity(config: RunConfig) -> dict[str, Any]:
    gate = config.gate.model_dump(mode="json", exclude={"critic"})
    if (critic := config.gate.critic) is None:
        return gate
    judged_by = backend_identity("critic", critic.backend, critic.settings) | {"min_scores": critic.min_scores}
    return gate | {"critic": judged_by}


def idm_digest(run: Run) -> str | None:
    """Digest of the run's IDM artifact, None before train-idm."""
    record = run.commits.stage("train-idm")
    return str(record.facts["artifact"]) if record else None


def checkpoint_digest(run: Run) -> str | None:
    """Digest of the generator's checkpoint, None before post-train and for a generator without one."""
    record = run.commits.stage("post-train")
    return str(record.facts["artifact"]) if record else None


def generate_identity(config: RunConfig, checkpoint: str | None) -> dict[str, Any]:
    """All generation settings that determine a video."""
    backend = generator_identity(config)
    geometry = {"width": config.generate.width, "height": config.generate.height}
    return backend | geometry | {"checkpoint": checkpoint}
