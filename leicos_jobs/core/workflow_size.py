"""Will the finished Workflow object fit into etcd? Argo refuses one above 1 MiB and the workflow errors, GPUs and all.

Argo writes every node of a workflow into the object: as plain JSON while all of it stays below 1 MiB, above that the
nodes as gzip in base64. So what counts in the end is the compressed size.

Calibration. Argo 4.1.2 on a real cluster: 101 pods, each with a retry node and an artifact, were 331 KB of plain JSON
(1640 bytes per node). Workers' pods have no artifacts: the shipped pipeline with 71 nodes took 666 bytes per node, 73
compressed, and 39 KB besides. Names, labels and run roots of usual length, in a model of 200 to 500 workers in three
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
RETRIES = 0.2
"""Of a short pod."""
RETRIES_OF_A_WORKER = 1.4
"""Of a worker's three steps: its generate pod lives for hours, so it is lost once."""
STEPS_OF_A_WORKER = 3
NODES_OF_A_ROUND = 8
NODES_OF_THE_REST = 40
FIXED_BYTES = 64_000
"""The spec, its stored copy and the stored templates of the other WorkflowTemplates: never compressed."""


def nodes(workers: int, rounds: int, replay_workers: int = 0) -> float:
    """Nodes of a workflow in which every round has this many workers and pods are lost as often as `RETRIES` say.

    A worker is a DAG node and, for each of its steps, a Retry node and a node for every attempt.
    """
    worker = 1 + 2 * STEPS_OF_A_WORKER + RETRIES_OF_A_WORKER
    replay = replay_workers * (1 + 1 + RETRIES)
    return rounds * (workers * worker + NODES_OF_A_ROUND) + replay + NODES_OF_THE_REST


def object_bytes(workers: int, rounds: int, replay_workers: int = 0) -> int:
    """Size of the finished object as it is stored."""
    count = nodes(workers, rounds, replay_workers)
    plain = FIXED_BYTES + count * NODE_BYTES
    return round(plain if plain <= LIMIT else FIXED_BYTES + count * COMPRESSED_NODE_BYTES)


def most_workers(rounds: int, replay_workers: int = 0) -> int:
    """The largest number of workers a round whose workflow still fits."""
    return most_workers_in_all(rounds, replay_workers) // rounds


def most_workers_in_all(rounds: int, replay_workers: int = 0) -> int:
    """The same for all rounds together, however they share them; below 0 where not even the rest fits."""
    per_worker = nodes(1, 1) - nodes(0, 1)
    return math.floor(((LIMIT - FIXED_BYTES) / COMPRESSED_NODE_BYTES - nodes(0, rounds, replay_workers)) / per_worker)


def too_large(workers: int, rounds: int, replay_workers: int = 0) -> str | None:
    """Why a workflow would not fit with all its rounds and its lost pods; None if it does."""
    size = object_bytes(workers, rounds, replay_workers)
    if size <= LIMIT:
        return None
    return (
        f"with {workers} workers in each of {rounds} rounds and {replay_workers} replay workers the finished Workflow "
        f"object would have about {size} bytes; etcd takes {LIMIT}"
    )


def require_fit(workers: int, replay_workers: int, where: str) -> None:
    """Refuse what no cluster could hold. where: what an error calls the configuration. Raises InputError."""
    text = too_large(workers, ROUNDS, replay_workers)
    if text is None:
        return
    most = most_workers(ROUNDS, replay_workers)
    advice = f"set plan.workers to at most {most}" if most >= 1 else "lower replay.workers"
    raise InputError(f"{where}: {text}, and a run must fit wherever it is continued", fix=advice)
