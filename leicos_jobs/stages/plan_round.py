"""plan-round: list what is missing, for as many workers as it is worth."""

from __future__ import annotations

from leicos_jobs.core import logs
from leicos_jobs.core.workflow_size import most_workers_in_all
from leicos_jobs.run import layout, refusals
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Round, account, read_round, round_of, write_round


def plan_round(run: Run, workflow: str, number: int, max_workers: int = 0) -> Round:
    """Write one round. A retried pod finds and keeps what was written. max_workers: 0 is no limit.

    Raises InputError if the gate has stopped the run.
    """
    folders = [layout.round_folder(workflow, layout.round_name(each)) for each in range(number + 1)]
    if (written := read_round(run, folders[-1])) is not None:
        return written
    results = Results(run)
    refusals.require_few(results)
    # no more than still fit into the Workflow object, whatever max-rounds was given
    earlier = sum(each.workers for folder in folders[:-1] if (each := read_round(run, folder)) is not None)
    fit = most_workers_in_all(number + 1, 2 * run.config.replay.workers) - earlier
    counted = account(run, results)
    planned = round_of(
        [sample.id for sample in counted.missing],
        counted.made,
        run.config.plan,
        fit,
        max_workers,
        run.config.gate if counted.unseen == counted.total else None,
    )
    does = {"videos": counted.unseen > 0, "labels": results.current("train-idm") is not None}
    planned = write_round(run, folders[-1], planned.model_copy(update=does))
    samples = len(planned.samples) + len(planned.made)
    logs.event("plan-round.done", round=number, workers=planned.workers, samples=samples)
    return planned
