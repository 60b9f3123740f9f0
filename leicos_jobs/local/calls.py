"""What passes between `execution` and `dag`: a template to run, and the answer that there is no place for it yet."""

from __future__ import annotations

from dataclasses import dataclass

from leicos_jobs.local.model import Template


class Deferred(Exception):
    """An answer, not an error: there is no place for another node now, and a later pass tries again."""


@dataclass(frozen=True)
class Call:
    """A template to run as a node. An argument that is missing was an output of a task that did not run."""

    name: str
    template: Template
    arguments: dict[str, str]
    boundary: str | None
    on_exit: bool
    depth: int
