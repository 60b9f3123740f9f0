"""Whether the weights fitted the model: read from upstream's debug.log, because upstream never fails over it.

It loads with strict=False. `Text2WorldModelRectifiedFlow.load_state_dict` then logs the keys that did not fit at level
CRITICAL and returns None, which `model_loader` takes for success: it goes on to log "loaded successfully
(strict=True)" whatever happened. Upstream's console filter hides both lines; only debug.log has them. A checkpoint of
another experiment so gives noise for video and exit code 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from leicos_jobs.core.errors import InputError

_REPORT = re.compile(
    r"_IncompatibleKeys\(missing_keys=\[(?P<missing>.*?)\], unexpected_keys=\[(?P<unexpected>.*?)\]"
    r"(?:, incorrect_shapes=\[(?P<shapes>.*)\])?\)"
)
_EMA = "load ema model in non-strict mode"
_QUOTED = re.compile(r"'([^']+)'")
SHOWN = 8


@dataclass
class LoadReport:
    """Keys that did not fit. `found`: whether the log said anything at all."""

    found: bool = False
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether nothing is wrong as far as the log says."""
        return not (self.missing or self.unexpected or self.shapes)


def read_load_log(text: str, tolerated: Sequence[str] = ()) -> LoadReport:
    """What the log says of the model's weights; keys that contain one of `tolerated` do not count.

    The report after the EMA line is left out: at the start of a post-training the base has no EMA weights, and upstream
    fills them from the model's own.
    """
    report = LoadReport()
    ema = False
    for line in text.splitlines():
        match = _REPORT.search(line)
        if match is None:
            ema = ema or _EMA in line
            continue
        if ema:
            ema = False
            continue
        report.found = True
        for name in ("missing", "unexpected", "shapes"):
            keys = [key for key in _QUOTED.findall(match[name] or "") if not any(part in key for part in tolerated)]
            getattr(report, name).extend(keys)
    return report


def check_load_log(path: Path, what: str, tolerated: Sequence[str] = ()) -> LoadReport:
    """Read a debug.log. Raises InputError naming the keys that did not fit."""
    report = read_load_log(path.read_text(errors="replace") if path.is_file() else "", tolerated)
    if not report.fits:
        said = [
            f"{len(keys)} {name} ({', '.join(keys[:SHOWN])}{' ...' if len(keys) > SHOWN else ''})"
            for name, keys in (
                ("missing", report.missing),
                ("unexpected", report.unexpected),
                ("of another shape", report.shapes),
            )
            if keys
        ]
        raise InputError(
            f"{what} does not fit the model, keys: {'; '.join(said)}",
            fix="use the checkpoint with the experiment it was trained with; harmless keys go into tolerated_keys",
        )
    return report
