"""What `leicos verify` finds out about a backend on the machine that has its hardware: checks with a clear verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One check. text: what was found, with numbers. A skipped one says what it would have needed."""

    name: str
    outcome: Outcome
    text: str


@dataclass
class Verification:
    """All checks of one backend."""

    backend: str
    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, passed: bool | None, text: str) -> bool:
        """Note a check (None: skipped) and return whether it did not fail."""
        outcome: Outcome = "skipped" if passed is None else "passed" if passed else "failed"
        self.checks.append(Check(name, outcome, text))
        return passed is not False

    @property
    def passed(self) -> bool:
        """Whether nothing failed and something passed."""
        outcomes = {check.outcome for check in self.checks}
        return "failed" not in outcomes and "passed" in outcomes

    @property
    def complete(self) -> bool:
        """Whether nothing was skipped either."""
        return self.passed and all(check.outcome == "passed" for check in self.checks)

    def lines(self) -> list[str]:
        """For people, the verdict last."""
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [f"{check.outcome:8}{check.name:{width}}  {check.text}" for check in self.checks]
        verdict = "WORKS HERE" if self.complete else "WORKS AS FAR AS CHECKED" if self.passed else "DOES NOT WORK HERE"
        return [*lines, f"{self.backend}: {verdict}"]
