"""plan-round: cut what is missing into fresh, balanced shards."""

from __future__ import annotations

from leicos_jobs.core import logs
from leicos_jobs.core.workflow_size import most_shards_in_all
from leicos_jobs.run import layout, refusals, sealed
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Round, Shard, account, cut, read_round, write_shard


def plan_round(run: Run, workflow: str, number: int) -> Round:
    """Write the shards of one round. A retried pod finds and keeps what was written.

    Raises InputError if the gate has stopped the run.
    """
    if (written := read_round(run, workflow, number)) is not None:
        return written
    results = Results(run)
    refusals.require_few(results)
    # no more than still fit into the Workflow object, whatever max-rounds was given
    rounds = (read_round(run, workflow, each) for each in range(number))
    earlier = sum(len(each.shards) for each in rounds if each is not None)
    left = most_shards_in_all(number + 1, run.config.replay_shards) - earlier
    counted = account(run, results)
    shards = cut(counted.missing, run.config.plan, left)
    for index, shard in enumerate(shards):
        samples = tuple(sample.id for sample in shard)
        write_shard(run, Shard(workflow=workflow, round=number, index=index, samples=samples))
    planned = Round(
        shards=tuple(range(len(shards))),
        videos=counted.unseen > 0,
        labels=results.current("train-idm") is not None,
    )
    run.store.put(layout.round_file(workflow, number), sealed.dump(planned))
    logs.event("plan-round.done", round=number, shards=len(shards), samples=sum(map(len, shards)))
    return planned
