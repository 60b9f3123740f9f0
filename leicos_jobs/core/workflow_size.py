"""Will the finished Workflow object fit into etcd? Argo refuses one above 1 MiB and the workflow errors, GPUs and all.

Argo writes every node of a workflow into the object: as plain JSON while all of it stays below 1 MiB, above that the
nodes as gzip in base64. So what counts in the end is the compressed size.

Calibration. Argo 4.1.2 on a real cluster: 101 pods, each with a retry node and an artifact, were 331 KB of plain JSON
(1640 bytes per node). Shard pods have no artifacts: the shipped pipeline with 71 nodes took 666 bytes per node, 73
compressed, and 39 KB besides. Names, labels and run roots of usual length, in a model of 200 to 500 shards in three
rounds: 790 and 89. The constants are those, with a margin of a fifth.
"""

from __future__ import annotations

import math

from leicos_jobs.core.errors import InputError

LIMIT = 1 << 20
ROUNDS = 3
"""Rounds of a workflow unless its parameter max-rounds says otherwise."""

NODE_BYTES = 950
COMPRESSED_NODE_BYTES = 107
RETRY_SHARE = 0.2
STEPS_OF_A_SHARD = 3
NODES_OF_A_ROUND = 8
NODES_OF_THE_REST = 40
FIXED_BYTES = 64_000
"""The spec, its stored copy and the stored templates of the other WorkflowTemplates: never compressed."""


def nodes(shards: int, rounds: int, replay_shards: int = 0) -> float:
    """Nodes of a workflow in which every round has this many shards and a fifth of all pods is lost once.

    A shard is a DAG node and, for each of its steps, a Retry node and a node for every attempt.
    """
    shard = 1 + STEPS_OF_A_SHARD * (1 + 1 + RETRY_SHARE)
    replay = replay_shards * (1 + 1 + RETRY_SHARE)
    return rounds * (shards * shard + NODES_OF_A_ROUND) + replay + NODES_OF_THE_REST


def object_bytes(shards: int, rounds: int, replay_shards: int = 0) -> int:
    """Size of the finished object as it is stored."""
    count = nodes(shards, rounds, replay_shards)
    plain = FIXED_BYTES + count * NODE_BYTES
    return round(plain if plain <= LIMIT else FIXED_BYTES + count * COMPRESSED_NODE_BYTES)


def most_shards(rounds: int, replay_shards: int = 0) -> int:
    """The largest number of shards a round whose workflow still fits."""
    return most_shards_in_all(rounds, replay_shards) // rounds


def most_shards_in_all(rounds: int, replay_shards: int = 0) -> int:
    """The same for all rounds together, however they share them; below 0 where not even the rest fits."""
    per_shard = nodes(1, 1) - nodes(0, 1)
    return math.floor(((LIMIT - FIXED_BYTES) / COMPRESSED_NODE_BYTES - nodes(0, rounds, replay_shards)) / per_shard)


def too_large(shards: int, rounds: int, replay_shards: int = 0) -> str | None:
    """Why a plan's workflow would not fit with all its rounds and a fifth of the pods retried; None if it does."""
    size = object_bytes(shards, rounds, replay_shards)
    if size <= LIMIT:
        return None
    return (
        f"with {shards} shards in each of {rounds} rounds and {replay_shards} replay shards the finished Workflow "
        f"object would have about {size} bytes; etcd takes {LIMIT}"
    )


def require_fit(shards: int, replay_shards: int, samples_per_replay: int, where: str) -> None:
    """Refuse a plan that no cluster could hold. where: what an error calls the configuration. Raises InputError."""
    text = too_large(shards, ROUNDS, replay_shards)
    if text is None:
        return
    most = most_shards(ROUNDS, replay_shards)
    advice = f"set plan.max_shards to at most {most} (shards get longer)"
    if most < 1:
        advice = f"raise replay.samples_per_shard ({samples_per_replay})"
    raise InputError(f"{where}: {text}, and a run must fit wherever it is continued", fix=advice)
