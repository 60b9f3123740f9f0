"""From a sample to its state: which records it has under the current keys, and what is missing.

Planning of rounds, the worker, status, curation and assembly all ask here, so that "done" has one meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.run.commits import Commits, Record, make_key
from leicos_jobs.run.samples import Sample

VERSIONS = {"generate": 1, "gate": 1, "label": 1, "replay": 1}
"""Stage versions: raised when a stage would give another result for the same inputs."""


@dataclass(frozen=True)
class ChainSettings:
    """What enters the keys of the per-sample stages, besides the sample."""

    gate: dict[str, Any]
    label: dict[str, Any]
    """Backend name, version, upstream commit and settings."""
    replay: dict[str, Any]
    idm_digest: str | None
    """Digest of the IDM artifact; None while there is none, and then nothing is labelled."""


@dataclass(frozen=True)
class State:
    """How far a sample has come. Each record is None until that stage is committed under its current key."""

    sample: Sample
    keys: dict[str, str]
    """Current key of every stage whose inputs are known."""
    generate: Record | None = None
    gate: Record | None = None
    label: Record | None = None
    replay: Record | None = None

    @property
    def rejected(self) -> str | None:
        """Why the gate refused the video, or None."""
        if self.gate is None or self.gate.facts["passed"]:
            return None
        return ", ".join(self.gate.facts["reasons"])

    @property
    def metrics(self) -> ReplayMetrics | None:
        """What replay measured; None before it."""
        return ReplayMetrics.model_validate(self.replay.facts["metrics"]) if self.replay else None

    def pending(self, stage: str) -> bool:
        """Whether this stage can run for the sample now and has not."""
        if stage not in self.keys or getattr(self, stage) is not None:
            return False
        return stage in ("generate", "gate") or self.rejected is None


def generate_key(sample: Sample) -> str:
    """Key of the generate record: the sample's id holds everything."""
    return make_key("generate", VERSIONS["generate"], {}, {"sample": sample.id})


def walk(commits: Commits, settings: ChainSettings, sample: Sample, upto: str = "replay") -> State:
    """Read a sample's records in order, at most through stage `upto`."""
    keys = {"generate": generate_key(sample)}
    found: dict[str, Record | None] = {"generate": commits.get("generate", sample.id, keys["generate"])}
    video = found["generate"]
    if video is not None and upto != "generate":
        inputs = {"video": str(video.sha256), "clip": sample.clip}
        keys["gate"] = make_key("gate", VERSIONS["gate"], settings.gate, inputs)
        found["gate"] = commits.get("gate", sample.id, keys["gate"])
        gate = found["gate"]
        if upto != "gate" and gate is not None and gate.facts["passed"] and settings.idm_digest:
            inputs = {"video": str(video.sha256), "idm": settings.idm_digest}
            keys["label"] = make_key("label", VERSIONS["label"], settings.label, inputs)
            found["label"] = commits.get("label", sample.id, keys["label"])
            labels = found["label"]
            if upto == "replay" and labels is not None:
                inputs = {"labels": str(labels.sha256), "start": sample.start}
                keys["replay"] = make_key("replay", VERSIONS["replay"], settings.replay, inputs)
                found["replay"] = commits.get("replay", sample.id, keys["replay"])
    return State(sample=sample, keys=keys, **found)
