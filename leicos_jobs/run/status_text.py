"""A run's status as a page of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leicos_jobs.run.failures import retry_command

if TYPE_CHECKING:
    from leicos_jobs.run.status import RunStatus, StageStatus

COLUMNS = (
    ("stage", 9),
    ("committed", 9),
    ("missing", 8),
    ("quarantined", 11),
    ("workers", 8),
    ("s/sample", 9),
    ("per hour", 9),
    ("left", 8),
    ("hours", 8),
    ("loading", 8),
    ("dollars", 9),
)


def text(status: RunStatus) -> str:
    """Everything that `leicos status` says."""
    lines = [f"run {status.run} ({status.name})", _whole(status)]
    if not status.samples:
        return "\n".join([*lines, "there is no plan yet"])
    lines += [
        f"{status.samples} samples: {status.labelled} labelled, {status.refused} refused by the gate, "
        f"{status.quarantined} quarantined, {status.missing} missing",
        "",
        " ".join(name.rjust(width) if index else name.ljust(width) for index, (name, width) in enumerate(COLUMNS)),
        *(_row(stage) for stage in status.stages),
        "",
        f"{status.gpu_hours:.2f} GPU-hours, {status.dollars:.2f} dollars, both at least; {_left(status)}",
    ]
    lines += [status.verdict] if status.verdict else []
    lines += [
        f"quarantined: {reason.count} in {reason.stage}: {reason.error} (for example {reason.example})"
        for reason in status.quarantine_reasons
    ]
    if status.gate_reasons:
        reasons = ", ".join(f"{count} {reason}" for reason, count in status.gate_reasons.items())
        lines.append(f"refused by the gate: {reasons}")
    for name in status.mixed:
        values = ", ".join(f"{value} ({count} records)" for value, count in status.makers[name].items())
        lines.append(f"mixed {name}: {values}")
    if status.quarantine_reasons:
        lines.append(f"to try those again: {retry_command(status.run)}")
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    """A time in two units at most."""
    if seconds is None:
        return "-"
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f}s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    return f"{hours}h{minutes:02d}" if hours else f"{minutes}min"


def _whole(status: RunStatus) -> str:
    done = [stage for stage, is_done in status.whole_stages.items() if is_done]
    rest = [stage for stage, is_done in status.whole_stages.items() if not is_done]
    parts = [f"done: {', '.join(done) or 'nothing yet'}"]
    if rest:
        parts.append(f"not done: {', '.join(rest)}")
    return "; ".join(parts)


def _left(status: RunStatus) -> str:
    if status.done:
        return "done"
    if status.eta_seconds is None:
        return "time left unknown: no worker is working on samples"
    return f"about {duration(status.eta_seconds)} left in the sample stages"


def _row(stage: StageStatus) -> str:
    values = (
        stage.stage,
        str(stage.committed),
        str(stage.missing),
        str(stage.quarantined),
        str(stage.workers),
        _number(stage.seconds_per_sample, 1),
        _number(stage.samples_per_hour, 0),
        duration(stage.eta_seconds if stage.missing else 0.0),
        f"{stage.hours:.2f}",
        "-" if stage.load_share is None else f"{stage.load_share:.0%}",
        f"{stage.dollars:.2f}",
    )
    cells = zip(values, COLUMNS, strict=True)
    return " ".join(
        value.rjust(width) if index else value.ljust(width) for index, (value, (_, width)) in enumerate(cells)
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
