"""Rounds: what one pass over the missing samples leaves over, the next takes on.

A round calls itself. Three things about Argo shape it (the cluster tests run them on a real controller):
- an empty withParam list is Skipped, not Succeeded, so what depends on the workers must admit Skipped;
- a Skipped leaf takes over its parents' Failed: `account`, which always exits 0, stands between the workers and the
  guarded call, so that a failed worker does not fail a round which a later one makes good;
- what a skipped task would have put out must have a default.
"""

from __future__ import annotations

from hera.workflows import DAG, Parameter, Task

from hera_workflows.commands import value_of
from hera_workflows.parameters import MAX_WORKERS_OF_WORKFLOW, RUN_OF_WORKFLOW
from hera_workflows.tasks import call, output_of, task
from leicos_jobs.core import stages
from leicos_jobs.core.stages import GENERATION

ROUND = "round"
WORKER = "worker"
RUN = value_of("run")
MAKES = ("videos", "labels")
"""What plan-round says of its workers: whether they make any."""

LIMITS = ("max-rounds", "max-workers")

FINISHED = "{0}.Succeeded || {0}.Failed || {0}.Errored"
"""The task came to an end, well or badly: what it committed is taken."""


def worker() -> DAG:
    """One worker: generate, gate, label. A failed step does not stop the next, which takes what is committed. A step
    that the round has no work for, or no IDM, is skipped: its pod would take a GPU for nothing."""
    arguments = {"round": value_of("round"), "worker": value_of("worker")}
    videos, labels = (f"{value_of(name)} == true" for name in MAKES)

    def step(command: stages.Stage, when: str, after: stages.Stage | None = None) -> Task:
        depends = f"{FINISHED} || {{0}}.Skipped".format(after.name) if after else None
        return task(GENERATION, command, depends=depends, when=when, arguments=arguments, run=RUN)

    return DAG(
        name=WORKER,
        inputs=[Parameter(name=name) for name in ("run", "round", "worker", *MAKES)],
        fail_fast=False,
        tasks=[
            step(stages.GENERATE, videos),
            step(stages.GATE, videos, after=stages.GENERATE),
            step(stages.LABEL, labels, after=stages.GATE),
        ],
    )


def round_() -> DAG:
    """One round over what is missing, and the next one if anything still is and a round is left."""
    this_round = {"round": value_of("round")}
    return DAG(
        name=ROUND,
        inputs=[Parameter(name=name) for name in ("run", "round", *LIMITS)],
        fail_fast=False,
        tasks=[
            task(
                GENERATION,
                stages.PLAN_ROUND,
                arguments={**this_round, "max-workers": value_of("max-workers")},
                run=RUN,
            ),
            call(
                GENERATION,
                GENERATION,
                WORKER,
                depends="plan-round",
                with_param=output_of(stages.PLAN_ROUND, "workers"),
                arguments={"run": RUN, **this_round, "worker": "{{item}}"}
                | {name: output_of(stages.PLAN_ROUND, name) for name in MAKES},
            ),
            task(
                GENERATION,
                stages.ACCOUNT,
                depends=f"plan-round && ({FINISHED.format(WORKER)} || worker.Skipped || worker.Omitted)",
                arguments=this_round,
                run=RUN,
            ),
            call(
                GENERATION,
                GENERATION,
                ROUND,
                name="next",
                depends="account",
                when=f"{output_of(stages.ACCOUNT, 'missing')} > 0 && {next_round()} < {value_of('max-rounds')}",
                arguments={"run": RUN, "round": next_round()} | {name: value_of(name) for name in LIMITS},
            ),
        ],
    )


def next_round() -> str:
    """The number of the next round. Rounds count from 0, so it is also how many have been started."""
    return "{{=string(asInt(inputs.parameters.round) + 1)}}"


def rounds(here: str, name: str, depends: str, first: str, limit: str) -> Task:
    """The task that starts rounds from number `first` to below `limit`, for a DAG of the WorkflowTemplate `here`."""
    arguments = {"run": RUN_OF_WORKFLOW, "round": first, "max-rounds": limit, "max-workers": MAX_WORKERS_OF_WORKFLOW}
    return call(here, GENERATION, ROUND, name=name, depends=depends, arguments=arguments)
