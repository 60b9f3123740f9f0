"""Ids and keys are the user's money: what changes one of these throws away work, and belongs in CHANGELOG.md.

A change that is not meant to alter identities must leave this file alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from leicos_jobs.local.shipped import shipped_texts
from leicos_jobs.run import identity
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import RunConfig, parse_config
from leicos_jobs.run.config_gate import CriticConfig
from leicos_jobs.run.episodes import Episode, split
from leicos_jobs.run.plan import make_samples
from leicos_jobs.run.samples import Sample

LAPTOP = """
source: {files: [a.hdf5], task: Lift the red cube up.}
plan: {samples: 4}
"""
COSMOS = """
source: {files: [s3://b/x/a.hdf5], task: Put the orange on the plate., camera: wrist}
prompt: {form: prose}
plan: {samples: 4, row0: [-1, 17]}
generate: {backend: cosmos-predict2.5, width: 640, height: 480, frames: 210, settings: {guidance: 4}}
idm: {backend: gr00t-dreams, seed: 3}
label: {settings: {}}
replay: {backend: isaac-sim, repeats: 2}
"""
ECHO = """
source: {files: [a.hdf5], task: Wave.}
plan: {samples: 4, held_out_share: 1.0}
generate: {backend: echo, frames: 50}
replay: {settings: {task: none}}
curate: {require_success: false}
"""
CONFIGS = {"laptop": LAPTOP, "cosmos": COSMOS, "echo": ECHO}
CHECKPOINTS = {"laptop": None, "cosmos": "c" * 64, "echo": None}

SAMPLES = {
    "laptop": "3c6ae35ef41eca47e0de",
    "cosmos": "255c10ef5e9a85b0e49f",
    "echo": "8fd12fa041c1befd960e",
}
SPLIT = "httt"
"""Sides of four demos: t, h."""
SAMPLE_KEYS = {
    "generate": "93348c89f0e625fd675788f7",
    "gate": "4546566740da80c47b9d1322",
    "label": "d37a267d1ebce86a2cc93d83",
    "replay": "f919d88af57290ffdddf6166",
    "controls": "a9b06de0caa4988debea8dc0",
}
STAGE_KEYS = {
    "convert": "b91df966ba5548b54a3d44df",
    "cosmos-dataset": "f681c7fc03b35e183799809c",
    "post-train": "7a77ef80984847b19a936f70",
    "train-idm": "1f2d614f70c8fd9a8db77640",
    "plan": "3ee226dec596c7306c68dc72",
    "replay-demos": "d5096911bca92fd69125e1a0",
    "curate": "9905d862c6accb7329174a89",
    "assemble": "b85ee17951865a55a9a751fe",
    "report": "d2b12f50b0b2458bc59147a9",
}
MANIFESTS = {
    "leicos-generate.yaml": "595ab665be18970d64ffcf5208c02d54872c3a4426ff0308eb66ff939b73307a",
    "leicos-pipeline.yaml": "fcce1f3824dfe0470571e82e1bab6180c53229c2c3638c3cb4635afe5086ff99",
    "leicos-prepare.yaml": "2cd0b2a709a8dbe7a2c88b6b846466905927ab6e9942f78b0c2c50df9ef7df65",
    "leicos-replay.yaml": "6f6642f5f3e39616b8cc0e100a36ef2976ca0e7076fd532796c757cd3a63ecb5",
    "leicos-report.yaml": "512c0a72ef917fe4cb71d29c4f7ac9551b12a670257dab0d6384aeeeb33428d4",
    "leicos-train.yaml": "f29eaacde7484186491a64d2e25d4a6637d419ecafcbc192ae0952f75cae677b",
}


def config(name: str) -> RunConfig:
    return parse_config(CONFIGS[name], name)


def episodes() -> list[Episode]:
    return [
        Episode(
            episode_index=index,
            file="a.hdf5",
            demo=f"demo_{index}",
            demo_sha256=f"{index}" * 64,
            tables_sha256="b" * 64,
            first_row=5,
            stride=2,
            frames=150,
            control_hz=60.0,
        )
        for index in range(4)
    ]


def first_sample(name: str) -> Sample:
    return make_samples(episodes(), config(name), CHECKPOINTS[name])[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sample_keeps_its_id(name: str) -> None:
    assert first_sample(name).id == SAMPLES[name]


@pytest.mark.parametrize("stage", SAMPLE_KEYS)
def test_a_sample_keeps_its_keys(stage: str) -> None:
    sample, rules = first_sample("cosmos"), identity.sample_rules(config("cosmos"), "d" * 64, source="s" * 64)
    made = {"generate": "v" * 64, "gate": None, "label": "e" * 64}
    records = {
        name: Record(stage=name, key="k", sample=sample.id, sha256=sha256, facts={"passed": True})
        for name, sha256 in made.items()
    }
    assert rules.key(stage, sample, records) == SAMPLE_KEYS[stage]


class Known:
    """An upstream in which everything is done. See `Upstream`."""

    config = config("cosmos")

    def outside(self, name: str) -> str:
        return f"sha256:{name}"

    def result(self, stage: str) -> str:
        return stage

    def artifact(self, stage: str) -> str:
        return "f" * 64

    def controls(self) -> str:
        return "c" * 64

    def standing(self) -> str:
        return "s" * 64


@pytest.mark.parametrize("stage", STAGE_KEYS)
def test_a_stage_keeps_its_key(stage: str) -> None:
    assert identity.whole_key(Known(), stage) == STAGE_KEYS[stage]


def leaves(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


OTHERS: dict[str, Any] = {
    "webhook": "https://example.com/x", "source.files": ("s3://b/x/other.hdf5",),
    "source.robot": "other", "source.camera": "top", "source.cameras": ("top",), "source.tasks": ("Wave.",),
    "time.stride": 3, "plan.prompts": ("Push.",),
    "time.row_for_row": True, "video.preset": "fast", "prompt.form": "underscored", "plan.row0": (-1,),
    "generate.backend": "echo", "generate.settings": {"guidance": 5}, "generate.checkpoint": "s3://b/other",
    "gate.checks": ("jump",),
    "gate.critic": CriticConfig(backend="judge", min_scores={"physics": 0.5}), "idm.backend": "compact",
    "idm.settings": {"steps": 3}, "idm.checkpoint": "s3://b/other", "label.settings": {"videos": 3},
    "replay.backend": "mujoco", "replay.settings": {"enable_cameras": True},
}  # fmt: skip
NO_RESULT = {
    "name": "the report's alone", "webhook": "tells", "source.strict": "refuses", "plan.workers": "pods",
    "plan.samples_per_worker": "pods", "replay.workers": "pods", "replay.samples_per_worker": "pods",
    "gate.refused_share_max": "stops", "gate.refused_videos_min": "stops",
}  # fmt: skip
"""Fields that change no sample and no dataset, and why; those of `rounds` and `cost` likewise."""


def another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1 if value >= 1 else value / 2 + 0.1
        case str():
            return value + "x"
    raise AssertionError(f"give OTHERS a value for {value!r}")


FIELDS = [name for name, _ in leaves(config("cosmos")) if not name.startswith(("rounds.", "cost."))]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_that_changes_a_result_enters_a_key(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "backend_identity", lambda kind, name, settings: {kind: [name, settings]})
    monkeypatch.setattr(identity, "is_trained", lambda _config: True)
    monkeypatch.setattr(identity, "generator_folders", lambda _config: ())
    monkeypatch.setattr(identity.registry, "settings", lambda kind, name, settings: settings)
    trainer = SimpleNamespace(holds_out=False, identity=lambda settings: settings)
    monkeypatch.setattr(identity.registry, "load", lambda kind, name: trainer)
    before = config("cosmos")
    section, _, name = field.rpartition(".")
    part = getattr(before, section) if section else before
    value = getattr(part, name)
    part = part.model_copy(update={name: OTHERS[field] if field in OTHERS else another(value)})
    after = before.model_copy(update={section: part}) if section else part

    def keys(chosen: RunConfig) -> dict[str, Any]:
        known = Known()
        known.config = chosen  # type: ignore[misc]
        made = {stage: identity.whole_key(known, stage) for stage in STAGE_KEYS if stage != "report"}
        return made | dict(identity.sample_rules(chosen, "d").settings)

    assert (keys(before) != keys(after)) is (field not in NO_RESULT)


def test_a_critic_s_verdict_is_bound_to_the_task_that_it_was_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "backend_identity", lambda kind, name, settings: {kind: [name, settings]})

    def gate(task: str, critic: CriticConfig | None) -> Any:
        chosen = config("cosmos")
        source = chosen.source.model_copy(update={"task": task})
        changes = {"source": source, "gate": chosen.gate.model_copy(update={"critic": critic})}
        return identity.sample_rules(chosen.model_copy(update=changes), None).settings["gate"]

    judge = CriticConfig(backend="judge", min_scores={"physics": 0.5})
    assert gate("Lift.", judge) != gate("Put.", judge)
    assert gate("Lift.", None) == gate("Put.", None)


def test_the_split_stays() -> None:
    assert "".join(side[0] for side in split(episodes(), config("laptop")).values()) == SPLIT


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_stays_what_it_was(name: str) -> None:
    assert hashlib.sha256(shipped_texts()[name].encode()).hexdigest() == MANIFESTS[name]


def test_every_manifest_is_pinned() -> None:
    assert set(shipped_texts()) == set(MANIFESTS)
