"""A worker of a round, by its index: what is its own from the start, and the list that it pulls from."""

from __future__ import annotations

import uuid

from leicos_jobs.core.stages import Stage
from leicos_jobs.run import layout
from leicos_jobs.run.claims import Pull
from leicos_jobs.run.rounds import listed
from leicos_jobs.work import heartbeats
from leicos_jobs.work.worker import SampleStage, Worker


def worker_of(stage: Stage, work: SampleStage, workflow: str, name: str, index: int) -> Worker:
    """A worker of one stage in a round of a workflow. name: see `layout.round_folder`.

    A stage that follows another does what the other's worker of the same index has taken, and its part of what that one
    need not do again. Raises what `rounds.listed` raises.
    """
    run, folder = work.run, layout.round_folder(workflow, name)
    planned, plan = listed(run, folder, index)
    worker = f"{workflow}-{name}-{index:05d}"
    if not stage.follows:
        most = planned.most_of(index)
        pull = Pull(run.store, folder, planned.samples, index, planned.workers, uuid.uuid4().hex, most)
        return Worker(work, [], worker, pull, plan)
    taken = heartbeats.taken(run.store, stage.follows, worker)
    own = dict.fromkeys((*planned.made[index :: planned.workers], *taken))
    return Worker(work, [plan[sample] for sample in own if sample in plan], worker)
