"""`{{...}}`: simple references and `{{=expressions}}`, replaced in texts.

A value None in the scope is what Argo calls an absent optional: the output of a skipped task that has no default.
Putting it into a text is an error; an argument that is nothing but a reference to it counts as not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from leicos_jobs.core.errors import InputError
from leicos_jobs.local.expressions import evaluate, plain

TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
EXPRESSION_NAME = re.compile(r"\b(?:inputs|workflow|tasks)(?:\.[A-Za-z_]\w*|\['[^']*'\])+")

Scope = Mapping[str, str | None]


def substitute(text: str, scope: Scope) -> str:
    """Replace every reference in a text."""
    return TAG.sub(lambda match: value(match.group(1), scope), text) if "{{" in text else text


def value(tag: str, scope: Scope) -> str:
    """The text that a tag stands for."""
    if tag.startswith("="):
        return plain(evaluate(tag[1:], scope))
    name = tag.strip()
    if name not in scope:
        raise InputError(f"{{{{{name}}}}} has no value here", fix="give the output that it refers to a default")
    found = scope[name]
    if found is None:
        raise InputError(
            f"{{{{{name}}}}} is the output of a task that did not run, and has no default", fix="add valueFrom.default"
        )
    return found


def absent(text: str, scope: Scope) -> bool:
    """Whether a text is one reference and nothing else, to something that a skipped task did not put out."""
    match = TAG.fullmatch(text)
    if match is None:
        return False
    name = match.group(1).strip()
    return name in scope and scope[name] is None


def references(text: str) -> Iterator[str]:
    """The names that a text refers to, those within expressions included."""
    for match in TAG.finditer(text):
        tag = match.group(1)
        if not tag.startswith("="):
            yield tag.strip()
            continue
        for name in EXPRESSION_NAME.finditer(tag):
            yield re.sub(r"\['([^']*)'\]", r".\1", name.group(0))
