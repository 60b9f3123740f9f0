"""The codes of all errors, for `leicos explain CODE` and docs/errors.md; the texts stand in error_codes.yaml.

A code says what kind of thing is wrong. An error's class may name it; otherwise the module that raised it decides, so
that no error is without one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import ExitCode, LeicosError
from leicos_jobs.core.yaml_text import mapping

DEFECT, INPUT = "defect", "input"
"""Of what nobody foresaw; of what no narrower code exists for."""


class Entry(BaseModel):
    """What is known of a code: what is wrong, where to look, why it comes about, what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exits: tuple[ExitCode, ...]
    """Exit codes that commands end with."""
    modules: tuple[str, ...] = ()
    """Errors raised in these modules, or in modules whose names begin so, have this code."""
    what: str
    where: str
    why: str
    fix: str

    def text(self, code: str) -> str:
        """For people."""
        exits = " or ".join(f"{exit_} ({exit_.name.lower()})" for exit_ in self.exits)
        return "\n".join([
            f"{code}, exit {exits}",
            f"  what:  {self.what}",
            f"  where: {self.where}",
            f"  why:   {self.why}",
            f"  fix:   {self.fix}",
        ])  # fmt: skip


@cache
def entries() -> dict[str, Entry]:
    """All codes, in the order of the file."""
    path = Path(__file__).with_suffix(".yaml")
    read = mapping(path.read_bytes(), path.name, "install leicos again")
    return {code: Entry.model_validate(fields) for code, fields in read.items()}


def with_exit(number: str) -> list[str]:
    """The codes that commands with this exit code can have, e.g. "75"."""
    return [code for code, entry in entries().items() if number in {str(int(exit_)) for exit_ in entry.exits}]


def code_of(error: BaseException) -> str:
    """The code of an error: its own, else that of the innermost module on its way that has one."""
    if not isinstance(error, LeicosError):
        return DEFECT
    named = [code for module in _raised_in(error.__traceback__) if (code := code_of_module(module))]
    narrow = [code for code in named if code != INPUT]
    general = DEFECT if error.exit_code is ExitCode.DEFECT else INPUT
    return error.code or (narrow[-1] if narrow else general)


def code_of_module(module: str) -> str | None:
    """The code whose module is the longest beginning of this name; None for a module that is not of leicos."""
    fits = [
        (len(prefix), code)
        for code, entry in entries().items()
        for prefix in entry.modules
        if module == prefix or module.startswith((f"{prefix}.", f"{prefix}_"))
    ]
    return max(fits)[1] if fits else None


def _raised_in(trace: TracebackType | None) -> list[str]:
    """Modules from the outermost frame to the one that raised."""
    found = []
    while trace is not None:
        found.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    return found
