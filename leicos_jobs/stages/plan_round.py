"""plan-round: cut what is missing into fresh, balanced shards."""

from __future__ import annotations

import json

from leicos_jobs.core import logs
from leicos_jobs.core.workflow_size import most_shards_in_all
from leicos_jobs.run import layout
from leicos_jobs.run.opened import Run
from leicos_jobs.run.rounds import account, cut, read_round, round_file
from leicos_jobs.run.samples import dump_lines


def plan_round(run: Run, workflow: str, number: int) -> list[int]:
    """Write the shards of one round and return their indices. A retried pod finds and keeps what was written."""
    if (written := read_round(run, workflow, number)) is not None:
        return written
    # no more than still fit into the Workflow object, whatever max-rounds was given
    earlier = sum(len(read_round(run, workflow, each) or ()) for each in range(number))
    left = most_shards_in_all(number + 1, run.config.replay_shards) - earlier
    shards = cut(account(run).missing, run.config.plan, left)
    for index, shard in enumerate(shards):
        run.store.put(layout.shard(workflow, number, index), dump_lines(shard))
    indices = list(range(len(shards)))
    run.store.put(round_file(workflow, number), json.dumps(indices).encode())
    logs.event("plan-round.done", round=number, shards=len(shards), samples=sum(map(len, shards)))
    return indices
