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
    ("set aside", 9),
    ("workers", 8),
    ("s/sample", 9),
    ("per hour", 9),
    ("left", 8),
    ("hours", 8),
    ("loading", 8),
    ("dollars", 9),
)


def text(found: RunStatus) -> str:
    """Everything that `leicos status` says."""
    lines = [f"run {found.run} ({found.name})", _whole(found)]
    if not found.samples:
        return "\n".join([*lines, "there is no plan yet"])
    lines += [
        f"{found.samples} samples: {found.labelled} labelled, {found.refused} refused by the gate, "
        f"{found.quarantined} set aside, {found.missing} missing",
        "",
        " ".join(name.rjust(width) if index else name.ljust(width) for index, (name, width) in enumerate(COLUMNS)),
        *(_row(stage) for stage in found.stages),
        "",
        f"{found.gpu_hours:.2f} GPU-hours, {found.dollars:.2f} dollars, both at least; {_left(found)}",
    ]
    lines += [
        f"set aside: {reason.count} in {reason.stage}: {reason.error} (for example {reason.example})"
        for reason in found.quarantine_reasons
    ]
    if found.gate_reasons:
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.gate_reasons.items())
        lines.append(f"refused by the gate: {reasons}")
    for name in found.mixed:
        values = ", ".join(f"{value} ({count} records)" for value, count in found.makers[name].items())
        lines.append(f"mixed {name}: {values}")
    if found.quarantine_reasons:
        lines.append(f"to try those again: {retry_command(found.run)}")
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


def _whole(found: RunStatus) -> str:
    done = [stage for stage, is_done in found.whole_stages.items() if is_done]
    rest = [stage for stage, is_done in found.whole_stages.items() if not is_done]
    parts = [f"done: {', '.join(done) or 'nothing yet'}"]
    if rest:
        parts.append(f"not done: {', '.join(rest)}")
    return "; ".join(parts)


def _left(found: RunStatus) -> str:
    if found.done:
        return "done"
    if found.eta_seconds is None:
        return "time left unknown: no worker has samples in hand"
    return f"about {duration(found.eta_seconds)} left in the sample stages"


def _row(stage: StageStatus) -> str:
    values = (
        stage.stage,
        str(stage.committed),
        str(stage.missing),
        str(stage.quarantined),
        str(stage.workers),
        _number(stage.seconds_a_sample, 1),
        _number(stage.samples_an_hour, 0),
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
