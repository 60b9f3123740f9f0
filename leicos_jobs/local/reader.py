"""Strict reading of a manifest: every field is taken, ignored on purpose, or an error that names its path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from leicos_jobs.core.errors import InputError

DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


class Reader:
    """A mapping of the manifest with its path. Fields are taken out; `done` complains about what is left."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"{path}: expected a mapping, found {type(value).__name__}", fix="correct the manifest")
        self._left = dict(value)
        self.path = path

    def take(self, key: str, default: Any = None) -> Any:
        """Take a field out, whatever it is."""
        value = self._left.pop(key, None)
        return default if value is None else value

    def text(self, key: str, default: str | None = None) -> str:
        """Take a field that must be text (numbers and booleans are written as Argo writes them)."""
        value = self.take(key, default)
        if value is None:
            raise InputError(f"{self.path}.{key}: is required", fix="add the field")
        return plain(value, f"{self.path}.{key}")

    def maybe(self, key: str) -> str | None:
        """Take a field that may be absent and otherwise must be text. An empty text is a text."""
        value = self._left.pop(key, None)
        return None if value is None else plain(value, f"{self.path}.{key}")

    def number(self, key: str) -> float | None:
        """Take a field that may be absent and otherwise must be a positive number, perhaps written as text."""
        text = self.maybe(key)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"{self.path}.{key}: {text!r} is not a number", fix="write a number") from None
        if value < 0:
            raise InputError(f"{self.path}.{key}: {text} is negative", fix="write a positive number")
        return value

    def integer(self, key: str) -> int | None:
        """Take a whole number that may be absent."""
        value = self.number(key)
        return None if value is None else int(value)

    def flag(self, key: str, default: bool) -> bool:
        """Take a boolean."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise InputError(f"{self.path}.{key}: {value!r} is neither true nor false", fix="write true or false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Take a list of texts."""
        return tuple(plain(value, f"{self.path}.{key}[{index}]") for index, value in enumerate(self.items(key)))

    def items(self, key: str) -> list[Any]:
        """Take a list."""
        value = self.take(key, [])
        if not isinstance(value, list):
            raise InputError(f"{self.path}.{key}: expected a list", fix="correct the manifest")
        return value

    def readers(self, key: str) -> list[Reader]:
        """Take a list of mappings, each with a path that names it."""
        found = []
        for index, value in enumerate(self.items(key)):
            name = value.get("name", index) if isinstance(value, dict) else index
            found.append(Reader(value, f"{self.path}.{key}.{name}"))
        return found

    def reader(self, key: str) -> Reader | None:
        """Take a mapping that may be absent."""
        value = self._left.pop(key, None)
        return None if value is None else Reader(value, f"{self.path}.{key}")

    def done(self, ignored: Iterable[str] = ()) -> None:
        """Complain about every field that was neither taken nor is to be ignored."""
        left = sorted(set(self._left) - set(ignored))
        if left:
            raise InputError(
                f"{self.path}.{left[0]}: leicos run does not implement this field",
                fix="run the workflow on a cluster, or leave the field out",
            )


def plain(value: Any, path: str) -> str:
    """Text as Argo writes a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise InputError(f"{path}: expected text, found {type(value).__name__}", fix="correct the manifest")


def seconds(text: str, path: str) -> float:
    """A duration: a number of seconds, or e.g. 10s, 5m, 1h30m."""
    if text.isdigit():
        return float(text)
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise InputError(f"{path}: {text!r} is not a duration", fix="write it like 10s, 5m or 1h30m")
    hours, minutes, whole, milli = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + whole + milli / 1000
