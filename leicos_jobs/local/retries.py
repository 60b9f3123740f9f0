"""Whether there is another attempt, and when."""

from __future__ import annotations

from dataclasses import dataclass

from leicos_jobs.local.expressions import truth
from leicos_jobs.local.model import Retry
from leicos_jobs.local.results import ERROR, FAILED, SUCCEEDED, Node


@dataclass(frozen=True)
class Verdict:
    """Either the phase that the Retry node takes, or the time of the next attempt."""

    phase: str | None
    message: str
    at: float = 0.0


def after_attempts(retry: Retry, attempts: list[Node], late: bool, max_backoff: float | None) -> Verdict:
    """Judge after an attempt has ended.

    Argo waits for the backoff before it looks at policy, limit and expression, so a failure that is not retried shows
    later there; here it shows at once. The outcome is the same.
    """
    last = attempts[-1]
    if not last.unsuccessful:
        return Verdict(SUCCEEDED, "")
    if late:
        return Verdict(last.phase, "retry exceeded workflow deadline")
    if (last.phase == FAILED and retry.policy == "OnError") or (last.phase == ERROR and retry.policy == "OnFailure"):
        return Verdict(last.phase, last.message)
    if retry.limit is not None and len(attempts) > retry.limit:
        return Verdict(last.phase, "No more retries left")
    if retry.expression is not None and not truth(retry.expression, last_retry(last, len(attempts))):
        return Verdict(last.phase, "retryStrategy.expression evaluated to false")
    if retry.backoff is None or last.finished is None:
        return Verdict(None, "")
    wait = retry.backoff.wait(len(attempts))
    if max_backoff is not None:
        wait = min(wait, max_backoff)
    return Verdict(None, f"Backoff for {wait:g} seconds", last.finished + wait)


def last_retry(last: Node, attempts: int) -> dict[str, str]:
    """What the expression can ask about. All values are texts, as in Argo; an unknown exit code is "-1"."""
    duration = (last.finished or last.started) - last.started
    return {
        "retries": str(attempts - 1),
        "lastRetry.exitCode": "-1" if last.exit_code is None else f"{last.exit_code:d}",
        "lastRetry.status": last.phase,
        "lastRetry.duration": f"{duration:g}",
        "lastRetry.message": last.message,
    }
