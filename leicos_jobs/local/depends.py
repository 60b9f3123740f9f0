"""`depends`: which tasks a task waits for, and whether what became of them lets it run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from leicos_jobs.local.expressions import truth
from leicos_jobs.local.model import Task, Template

STATUSES = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
TERM = re.compile(r"([A-Za-z0-9][-A-Za-z0-9]*)(?:\.([A-Z][A-Za-z]+))?")


@dataclass(frozen=True)
class Outcome:
    """What became of a task, in the words of `depends`. The last two are about the items of a fan-out."""

    phase: str
    any_succeeded: bool = False
    all_failed: bool = False

    def has(self, status: str) -> bool:
        """Whether `task.status` is true. Nothing here is ever Daemoned."""
        if status == "AnySucceeded":
            return self.any_succeeded
        if status == "AllFailed":
            return self.all_failed
        return status == {"Error": "Errored"}.get(self.phase, self.phase)


@lru_cache(maxsize=4096)
def parents(depends: str) -> tuple[str, ...]:
    """The tasks that a `depends` names, in order."""
    return tuple(dict.fromkeys(match.group(1) for match in TERM.finditer(depends)))


def satisfied(depends: str, outcome: Callable[[str], Outcome]) -> bool:
    """Whether a task may run, once all tasks it names have ended. A bare name means succeeded, skipped or daemoned."""

    def replaced(match: re.Match[str]) -> str:
        result, status = outcome(match.group(1)), match.group(2)
        words = (status,) if status else ("Succeeded", "Skipped", "Daemoned")
        return "true" if any(result.has(word) for word in words) else "false"

    return truth(TERM.sub(replaced, depends), {})


def ancestors(template: Template, task: Task) -> tuple[str, ...]:
    """Every task that a task waits for, directly or not: those whose outputs it may refer to."""
    found: dict[str, None] = {}
    ahead = list(parents(task.depends))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found[name] = None
            ahead.extend(parents(template.by_name[name].depends) if name in template.by_name else ())
    return tuple(found)


def leaves(template: Template) -> list[str]:
    """The tasks that no other waits for, in the order of their names: a DAG is what became of these."""
    waited_for = {name for task in template.tasks for name in parents(task.depends)}
    return sorted(task.name for task in template.tasks if task.name not in waited_for)
