"""Will the finished Workflow object fit into etcd? Argo refuses one above 1 MiB and the workflow errors, GPUs and all.

Argo writes every node of a workflow into the object: up to 1 MiB as plain JSON, above that the nodes as gzip in base64.
So what counts in the end is the compressed size. Calibration (Argo 4.1.2, shared/reference/cluster_harness.md): 101
pods with their retry nodes and one artifact each were 331 KB of plain JSON, so a node is about 1640 bytes. Nodes
compress well because they resemble each other; measured on real node lists gzip and base64 leave about an eighth.
"""

from __future__ import annotations

from hera_workflows.lint.problems import Problem

LIMIT = 1 << 20
NODE_BYTES = 331_000 / (2 * 101)
COMPRESSED = 0.135
RETRY_SHARE = 0.2
STEPS_OF_A_SHARD = 3
NODES_OF_A_ROUND = 8
NODES_OF_THE_REST = 40
FIXED_BYTES = 120_000
"""The spec, its stored copy and the stored templates of the others: never compressed."""


def nodes(shards: int, rounds: int) -> float:
    """Nodes of a workflow in which every round has this many shards and a fifth of all pods is lost once.

    A shard is a DAG node and, for each of its steps, a Retry node and a node for every attempt.
    """
    shard = 1 + STEPS_OF_A_SHARD * (1 + 1 + RETRY_SHARE)
    return rounds * (shards * shard + NODES_OF_A_ROUND) + NODES_OF_THE_REST


def object_bytes(shards: int, rounds: int) -> int:
    """Size of the finished object as it is stored."""
    plain = FIXED_BYTES + nodes(shards, rounds) * NODE_BYTES
    if plain <= LIMIT:
        return round(plain)
    return round(FIXED_BYTES + nodes(shards, rounds) * NODE_BYTES * COMPRESSED)


def most_shards(rounds: int) -> int:
    """The largest number of shards a round whose workflow still fits."""
    low, high = 0, LIMIT
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if object_bytes(middle, rounds) <= LIMIT else (low, middle - 1)
    return low


def check_size(shards: int, rounds: int) -> list[Problem]:
    """Refuse a plan whose workflow would not fit with all its rounds and a fifth of the pods retried."""
    size = object_bytes(shards, rounds)
    if size <= LIMIT:
        return []
    return [
        Problem(
            f"{shards} shards in {rounds} rounds",
            f"the finished Workflow object would have about {size} bytes, more than {LIMIT}",
            f"make shards longer: at most {most_shards(rounds)} a round",
        )
    ]
