"""fan-in: decide after the last round whether enough samples are done, and list what replay and controls have to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from leicos_jobs.core import logs
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.core.stages import CONTROLS, REPLAY, Stage
from leicos_jobs.run import identity, layout, refusals
from leicos_jobs.run.chain import State
from leicos_jobs.run.failures import retry_command
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Account, Round, account, workers_of, write_round


def fan_in(run: Run, workflow: str, max_workers: int = 0) -> tuple[Account, int, int]:
    """Decide whether enough succeeded; returns the account, and how many workers replay and controls have.

    A retried pod finds and keeps the lists that were written. max_workers: 0 is no limit.

    Raises InputError where videos wait for an IDM that was not trained, or when the gate refused everything, or so much
    that it stopped the run; DefectError below `rounds.min_success_ratio`, naming what is missing and why.
    """
    results = Results(run)
    result = account(run, results)
    if result.waiting:
        results.needed("train-idm")
    logs.event(
        "fan-in.account",
        total=result.total,
        labelled=result.labelled,
        refused=result.refused,
        quarantined=len(result.quarantined),
        missing=len(result.missing),
    )
    refusals.require_few(results)
    needed = run.config.rounds.min_success_ratio
    if result.ratio < needed:
        reasons = Counter(failure.error.splitlines()[0] for failure in result.quarantined.values())
        raise DefectError(
            f"{result.ratio:.0%} of {result.total} samples are done, {needed:.0%} are needed "
            f"({len(result.quarantined)} quarantined, {len(result.missing)} missing, {result.labelled} labelled)"
            + _listed(reasons),
            fix=f"see `leicos status`; then `{retry_command(run.store.uri)}`, or lower rounds.min_success_ratio",
        )
    if result.labelled == 0:
        kind = InputError if result.refused else DefectError
        raise kind(
            f"none of {result.total} samples is labelled: the gate refused {result.refused}" + _listed(result.refusals),
            fix=f"look at the videos in {run.store.uri}/generate; correct the generator, or the limits in `gate`",
        )
    can = identity.no_replay(run.config, run.robot)
    if all(can[sample.states] for sample in results.samples()):
        return result, 0, 0
    limit, replay = [max_workers] if max_workers else [], run.config.replay

    def workers(stage: Stage, states: Sequence[State], least: int) -> int:
        todo = tuple(state.sample.id for state in states if state.pending(stage.name))
        planned = Round(workers=workers_of(len(todo), least, replay.workers, *limit), samples=todo)
        return write_round(run, layout.round_folder(workflow, stage.name), planned).workers

    return (
        result,
        workers(REPLAY, results.samples_standing.states, replay.samples_per_worker),
        workers(CONTROLS, results.controls_standing.states, max(1, replay.samples_per_worker // 4)),
    )


def _listed(reasons: Counter[str]) -> str:
    return "".join(f"\n  {count} x {reason}" for reason, count in reasons.most_common(5))
