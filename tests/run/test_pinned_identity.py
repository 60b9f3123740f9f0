"""Ids and keys are the user's money: what changes one of these throws away work, and belongs in CHANGELOG.md.

A change that is not meant to alter identities must leave this file alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from leicos_jobs.local.shipped import shipped_texts
from leicos_jobs.run import identity, layout
from leicos_jobs.run.chain import State, generate_key
from leicos_jobs.run.commits import StageRecord, make_key
from leicos_jobs.run.config import RunConfig, parse_config
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.plan import make_samples
from leicos_jobs.run.samples import Sample
from leicos_jobs.stages import (
    assemble,
    controls,
    convert,
    cosmos_dataset,
    curate,
    plan,
    post_train,
    report,
    train_idm,
)

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
    "laptop": "42d6267a8b7882c9c550",
    "cosmos": "205885cd60a131e5b1d8",
    "echo": "bc1551e41a14f142c5c6",
}
SAMPLE_KEYS = {
    "generate": "d7f7e7f06317113ae0483ef7",
    "gate": "1adfba948bde9c41eaae92a2",
    "label": "3174aedd1f801ed1c1e86f5a",
    "replay": "6da10b6ec955383860e9ca71",
}
STAGE_KEYS = {
    "convert": "ff010f25e1a39a43c004c2a0",
    "cosmos-dataset": "6c2186caf04f9cd558dac360",
    "post-train": "e0ec8c9d9a21f5c1adaa5114",
    "train-idm": "b5cdcd5317a7b41229492ae2",
    "plan": "51ffcf1e9ba0f5c8145b9dac",
    "controls": "b723bd7a7f490f21f7c20309",
    "curate": "a8b28499459ecba49da321d1",
    "assemble": "0c14cb227082beee3a12cc12",
    "report": "146ae84d2fd5946ae5dfb9b8",
}
MANIFESTS = {
    "leicos-generate.yaml": "efcf507aef8c8456ad4dfc98d14dfcbcd5888b40dc605c212c31c0d8d6280ddf",
    "leicos-pipeline.yaml": "f8acb348d019360877ac9bef4032905584651504721b6845ffbf0b43f1e61bc3",
    "leicos-prepare.yaml": "2cd0b2a709a8dbe7a2c88b6b846466905927ab6e9942f78b0c2c50df9ef7df65",
    "leicos-replay.yaml": "5ddb830fc307ae69fbc0b5670ae991880829ecb21f465f3e50b16a5c42059983",
    "leicos-report.yaml": "512c0a72ef917fe4cb71d29c4f7ac9551b12a670257dab0d6384aeeeb33428d4",
    "leicos-train.yaml": "f29eaacde7484186491a64d2e25d4a6637d419ecafcbc192ae0952f75cae677b",
}

FUNCTIONS: dict[str, tuple[Any, Callable[[Run], Any]]] = {
    "convert": (convert, convert.convert),
    "cosmos-dataset": (cosmos_dataset, cosmos_dataset.cosmos_dataset),
    "post-train": (post_train, post_train.post_train),
    "train-idm": (train_idm, train_idm.train_idm),
    "plan": (plan, plan.plan),
    "controls": (controls, controls.controls),
    "curate": (curate, curate.curate),
    "assemble": (assemble, assemble.assemble),
    "report": (report, report.report),
}


def config(name: str) -> RunConfig:
    return parse_config(CONFIGS[name], name)


def episodes() -> list[Episode]:
    return [
        Episode(
            episode_index=index,
            file="a.hdf5",
            file_sha256="a" * 64,
            demo=f"demo_{index}",
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
    sample, settings = first_sample("cosmos"), identity.chain_settings(config("cosmos"), "d" * 64)
    keys = {
        "generate": generate_key(sample),
        "gate": make_key("gate", 1, settings.gate, {"video": "v" * 64, "clip": sample.clip}),
        "label": make_key("label", 1, settings.label, {"video": "v" * 64, "idm": "d" * 64}),
        "replay": make_key("replay", 1, settings.replay, {"labels": "l" * 64, "start": sample.start}),
    }
    assert State(sample, keys).keys[stage] == SAMPLE_KEYS[stage]


class CapturedError(Exception):
    """Ends a stage before it does anything, with the key that it would work under."""


def captured(run: Run, stage: str, **arguments: Any) -> NoReturn:
    raise CapturedError(make_key(stage, arguments["version"], arguments["settings"], arguments["inputs"]))


@pytest.mark.parametrize("stage", STAGE_KEYS)
def test_a_stage_keeps_its_key(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(str(tmp_path / "run"), config("cosmos"))
    for earlier in FUNCTIONS:
        facts = {"artifact": "f" * 64}
        run.commits.commit_stage(StageRecord(stage=earlier, key=earlier, files={earlier: "e" * 64}, facts=facts))
    run.store.put(layout.SAMPLES, b"")
    module, function = FUNCTIONS[stage]
    monkeypatch.setattr(module, "whole_stage", captured)
    with pytest.raises(CapturedError) as error:
        function(run)
    assert str(error.value) == STAGE_KEYS[stage]


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_stays_what_it_was(name: str) -> None:
    assert hashlib.sha256(shipped_texts()[name].encode()).hexdigest() == MANIFESTS[name]


def test_every_manifest_is_pinned() -> None:
    assert set(shipped_texts()) == set(MANIFESTS)
