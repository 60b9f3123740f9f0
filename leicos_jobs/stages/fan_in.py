"""fan-in: decide after the last round whether enough samples are done, and cut the shards of replay and controls."""

from __future__ import annotations

from collections import Counter

from leicos_jobs.core import logs
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.run import identity, refusals
from leicos_jobs.run.failures import retry_command
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.rounds import Account, account


def fan_in(run: Run) -> tuple[Account, list[int], list[int]]:
    """Decide whether enough succeeded; returns the account and the indices of the shards of replay and of controls.

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
        return result, [], []
    (replay, _), (_, controls) = map(run.config.replay.shards_of, (result.total, result.labelled))
    return result, list(range(replay)), list(range(controls))


def _listed(reasons: Counter[str]) -> str:
    return "".join(f"\n  {count} x {reason}" for reason, count in reasons.most_common(5))
