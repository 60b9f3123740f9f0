"""What stages share about a run: its robot, its backends with checked settings, its demos and their split."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from leicos_jobs.backends import registry
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.validation import describe_errors, parsed, parsed_json
from leicos_jobs.run import layout
from leicos_jobs.run.chain import ChainSettings, State, walk
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run
from leicos_jobs.run.samples import Sample
from leicos_jobs.store import KeyMissingError

READERS = 16
"""Threads that read records: on S3 a read is a round trip, not work."""


class Episode(BaseModel):
    """One line of dataset/meta/leicos/episodes.jsonl: where an episode of the dataset came from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    episode_index: int
    file: str
    file_sha256: str
    demo: str
    first_row: int
    stride: int
    frames: int
    control_hz: float

    @property
    def fps(self) -> float:
        """Dataset frames a second."""
        return self.control_hz / self.stride


def episodes(run: Run) -> list[Episode]:
    """Episodes of the real dataset. Raises InputError before convert."""
    try:
        data = run.store.read(layout.EPISODES)
    except KeyMissingError:
        raise InputError(f"{run.store.uri} has no dataset yet", fix="run `leicos convert` first") from None
    where, fix = f"{run.store.uri}/{layout.EPISODES}", made_again("convert")
    return [parsed(Episode, line, where, fix) for line in data.splitlines() if line.strip()]


def made_again(stage: str) -> str:
    """What to do about a damaged file of a whole stage."""
    return f"remove {layout.stage_record(stage)} and start the run again: the stage is done anew"


def start_state(run: Run, sample: Sample) -> dict[str, list[float]]:
    """The simulator's state at a sample's row0, name -> numbers, as LeIsaac's files name it."""
    found: dict[str, list[float]] = parsed_json(
        run.store.read(sample.start), f"{run.store.uri}/{sample.start}", made_again("plan")
    )
    return found


def start_joints(run: Run, sample: Sample) -> list[float]:
    """Joint positions in radians at a sample's row0."""
    return start_state(run, sample)["articulation/robot/joint_position"]


def split(items: Sequence[Episode], config: RunConfig) -> dict[int, Literal["train", "held_out"]]:
    """Which episodes the IDM may train on. A demo's side depends on (seed, file, demo) only, whatever the others."""

    def rank(item: Episode) -> str:
        return hashlib.sha256(f"{config.split.seed}/{item.file_sha256}/{item.demo}".encode()).hexdigest()

    count = math.ceil(config.split.held_out_share * len(items))
    count = min(count, len(items) - 1)
    held = {item.episode_index for item in sorted(items, key=rank)[:count]}
    return {item.episode_index: "held_out" if item.episode_index in held else "train" for item in items}


def backend_settings(stage: str, name: str, settings: dict[str, Any]) -> BaseModel:
    """The backend's own settings model, filled. Raises InputError that lists all errors."""
    backend = registry.load(stage, name)
    try:
        model: BaseModel = backend.Settings.model_validate(settings)
    except ValidationError as error:
        raise InputError(
            f"settings of {stage} backend {name!r}:\n" + describe_errors(error),
            fix=f"known settings: {', '.join(backend.Settings.model_fields) or 'none'}",
        ) from None
    return model


def backend_identity(stage: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Name, version, upstream commit and settings that differ from the defaults: what enters identities.

    Defaults stay out so that a new setting does not disown old work; a changed default must raise `version`.
    """
    backend = registry.load(stage, name)
    return {
        "name": name,
        "version": backend.version,
        "upstream": backend.upstream,
        "settings": backend_settings(stage, name, settings).model_dump(mode="json", exclude_defaults=True),
    }


def generator_identity(config: RunConfig) -> dict[str, Any]:
    """Identity of the generator. One that is trained says itself which settings determine a video (`identity`): how it
    was trained is in its checkpoint's digest."""
    backend = registry.load("generate", config.generate.backend)
    identity = backend_identity("generate", config.generate.backend, config.generate.settings)
    if hasattr(backend, "identity"):
        settings = backend_settings("generate", config.generate.backend, config.generate.settings)
        identity["settings"] = backend.identity(settings)
    return identity


def check_backends(config: RunConfig) -> None:
    """Load every configured backend, check its settings and, where it can tell, that it can make such videos.

    Raises InputError.
    """
    chain_settings(config, None)
    backend = registry.load("generate", config.generate.backend)
    settings = backend_settings("generate", config.generate.backend, config.generate.settings)
    if hasattr(backend, "check_run"):
        backend.check_run(settings, config.generate.frames, config.generate.width, config.generate.height)
    backend_identity("train", config.idm.backend, config.idm.settings)
    replayer = registry.load("replay", config.replay.backend)
    rules = backend_settings("replay", config.replay.backend, config.replay.settings)
    if config.curate.require_success and hasattr(replayer, "judges") and not replayer.judges(rules):
        raise InputError(
            f"curate.require_success: replay backend {config.replay.backend!r} with these settings knows no success",
            fix="set curate.require_success: false, or a replay that knows the task's rule",
        )
    if (critic := config.gate.critic) is not None:
        known = registry.load("critic", critic.backend).scores
        if unknown := sorted(critic.min_scores.keys() - set(known)):
            text = f"gate.critic.min_scores: critic {critic.backend!r} has no score {', '.join(unknown)}"
            raise InputError(text, fix=f"it has {', '.join(known)}")


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


def states(run: Run, samples: Iterable[Sample], upto: str = "replay") -> list[State]:
    """States of samples, in order, read in parallel."""
    settings = chain_settings(run.config, idm_digest(run))
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda sample: walk(run.commits, settings, sample, upto), samples))
