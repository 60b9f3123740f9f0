"""Every path of a run, once. Nothing else in leicos spells a key."""

from __future__ import annotations

from leicos_jobs.core.stages import STAGES

RUN = "run.json"
SOURCES = "source"
"""Folder of recordings that `leicos submit` uploaded."""
EPISODES = "meta/leicos/episodes.jsonl"
"""In the dataset: the rows and content of each episode's demo."""
ORIGINS = "meta/leicos/origins.jsonl"
"""In the dataset: the file and demo that each episode came from."""
IMAGES = "meta/leicos/images.jsonl"
"""In the dataset: digests of each episode's images."""
LEFT_OUT = "meta/leicos/left_out.jsonl"
CHECKS = "meta/leicos/checks.json"
"""In the synthetic dataset: what was checked of its labels, and what came of it."""
SAMPLES = "samples.jsonl"
BATCH = "batch.jsonl"
CONTROLS = "controls.json"
CURATED = "curated.jsonl"


def stage_record(stage: str, key: str) -> str:
    """Record of a stage that commits as a whole."""
    return f"records/{stage}/{key}.json"


def stage_folder(stage: str, content: str) -> str:
    """Files of a stage that commits as a whole, by the digest of them all."""
    return f"{STAGES[stage].prefix}/{content[:16]}"


def sample_record(stage: str, sample: str, key: str) -> str:
    """Commit record of one sample in one stage under one key."""
    return f"{STAGES[stage].prefix}/{sample}/{key}.json"


def sample_object(stage: str, sample: str, sha256: str, suffix: str) -> str:
    """Immutable bytes of one sample, named by content."""
    return f"{STAGES[stage].prefix}/{sample}/{sha256[:16]}{suffix}"


def start(identity: str) -> str:
    """Record of a start: simulator state and conditioning clip at a row of a demo."""
    return f"starts/{identity}.json"


def clip(identity: str, sha256: str) -> str:
    """Conditioning clip of a start, named by content."""
    return f"starts/{identity}/{sha256[:16]}.mp4"


def calibration(key: str) -> str:
    """The gate's scores of the source's own videos, by what they were made from."""
    return f"calibrations/{key}.json"


def stop(key: str, suffix: str = ".json") -> str:
    """That the gate refused too many of a plan's videos; with .png the contact sheet of some of them."""
    return f"stops/{key}{suffix}"


def shared(name: str = "") -> str:
    """A file that a generator made for all workers, such as a prompt's embedding: a cache, never an input."""
    return f"shared/{name}" if name else "shared"


def truth(sample: str, video_sha256: str, sha256: str) -> str:
    """What a generator that knows the truth wrote beside a video; only scoring reads it. Named by the digests of both,
    so that truth and video can never be mixed up when two workers race."""
    return f"{truths(sample)}{video_sha256[:16]}-{sha256[:16]}.parquet"


def truths(sample: str) -> str:
    """Prefix of a sample's truths: also those of videos that failed verification."""
    return f"truth/{sample}/"


def resume(stage: str, key: str) -> str:
    """Checkpoints of a training under way, under the key of the record that it will have."""
    return f"resume/{stage}/{key}"


def round_folder(workflow: str, name: str) -> str:
    """What the workers of one round of one workflow share. name: the round's number, or the stage that is done once."""
    return f"rounds/{workflow}/{name}"


def round_name(number: int) -> str:
    """Name of a round of generate, gate and label."""
    return f"{number:02d}"


def round_file(folder: str) -> str:
    """The list of a round's samples."""
    return f"{folder}/round.json"


def claims(folder: str) -> str:
    """Prefix of a round's claims."""
    return f"{folder}/claims/"


def claim(folder: str, sample: str) -> str:
    """That a worker has taken a sample."""
    return f"{claims(folder)}{sample}.json"


def is_claim(key: str) -> bool:
    """Whether a key is of a claim, which means nothing after its round."""
    parts = key.split("/")
    return parts[0] == "rounds" and parts[-2] == "claims"


def heartbeat(stage: str, worker: str) -> str:
    """The object in which a worker names the samples that it works on, and those that it has taken."""
    return f"workers/{stage}/{worker}.json"


def failures(stage: str, sample: str = "") -> str:
    """Prefix of the failure notes of a stage, or of one sample in it."""
    return f"failures/{stage}/{sample}/" if sample else f"failures/{stage}/"


def timing(stage: str, name: str) -> str:
    """How long a stage's process took: a cache for the report's table, never an input."""
    return f"timings/{stage}/{name}.json"


def so_far(name: str) -> str:
    """A file of the report of a run that is not finished, or the prefix of them all."""
    return f"{STAGES['report'].prefix}/so-far/{name}"


def former(digest: str) -> str:
    """A configuration that was amended."""
    return f"run-{digest[:16]}.json"
