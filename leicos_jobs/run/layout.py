"""Every path of a run, once. Nothing else in leicos spells a key."""

from __future__ import annotations

RUN = "run.json"
SOURCES = "source/sources.json"
DATASET = "dataset"
EPISODES = "dataset/meta/leicos/episodes.jsonl"
LEFT_OUT = "dataset/meta/leicos/left_out.jsonl"
COSMOS_DATASET = "cosmos/dataset"
COSMOS_CHECKPOINT = "cosmos/checkpoint"
IDM = "idm"
SAMPLES = "plan/samples.jsonl"
CLIPS = "plan/clips"
BATCH = "plan/batch.jsonl"
SYNTHETIC = "synthetic"
REPORT = "report"
CONTROLS = "controls/controls.json"
CURATED = "curate/curated.jsonl"


def stage_record(stage: str) -> str:
    """Record of a stage that commits as a whole."""
    return f"records/{stage}.json"


def sample_record(stage: str, sample: str, key: str) -> str:
    """Commit record of one sample in one stage under one key."""
    return f"{stage}/{sample}/{key}.json"


def sample_object(stage: str, sample: str, sha256: str, suffix: str) -> str:
    """Immutable bytes of one sample, named by content."""
    return f"{stage}/{sample}/{sha256[:16]}{suffix}"


def clip(demo: str, row0: int, digest: str) -> str:
    """Conditioning clip of a (demo, row0); `digest` (of file and settings) keeps two files' demos apart."""
    return f"{CLIPS}/{demo}-{row0}-{digest}.mp4"


def start(demo: str, row0: int, digest: str) -> str:
    """Simulator state at row0."""
    return f"{CLIPS}/{demo}-{row0}-{digest}.json"


def truth(sample: str, video_sha256: str) -> str:
    """What a generator that knows the truth wrote beside a video; only scoring reads it. Named by the video's digest,
    so that truth and video can never be mixed up when two workers race."""
    return f"{truths(sample)}{video_sha256[:16]}.parquet"


def truths(sample: str) -> str:
    """Prefix of a sample's truths: also those of videos that failed verification."""
    return f"truth/{sample}/"


def resume(stage: str, key: str) -> str:
    """Checkpoints of a training under way, under the key of the record that it will have."""
    return f"resume/{stage}/{key}"


def round_folder(workflow: str, number: int) -> str:
    """Shards of one round of one workflow."""
    return f"plan/rounds/{workflow}/{number:02d}"


def shard(workflow: str, number: int, index: int) -> str:
    """One shard's list of samples."""
    return f"{round_folder(workflow, number)}/{index:05d}.jsonl"


def heartbeat(stage: str, worker: str) -> str:
    """The object in which a worker names the samples in hand."""
    return f"workers/{stage}/{worker}.json"


def failures(stage: str, sample: str = "") -> str:
    """Prefix of the failure notes of a stage, or of one sample in it."""
    return f"failures/{stage}/{sample}/" if sample else f"failures/{stage}/"


def timing(stage: str, name: str) -> str:
    """How long a stage's process took: a cache for the report's table, never an input."""
    return f"timings/{stage}/{name}.json"
