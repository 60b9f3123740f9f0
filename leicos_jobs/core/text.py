"""Text that people and foreign files give: read as UTF-8, checked once, and shown without harm to a terminal."""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterator
from typing import Any

from leicos_jobs.core.errors import InputError

SHOWN = 80
"""Characters of a foreign name that a message shows."""

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""UTF-32 begins with the first of them too."""


def decoded(data: bytes, where: str) -> str:
    """UTF-8 text, with or without a byte order mark. Raises InputError that names another encoding."""
    if data.startswith(_WIDE) or b"\0" in data[:4]:
        raise InputError(f"{where}: is UTF-16 or UTF-32 text", fix="save it as UTF-8 (PowerShell: -Encoding utf8)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 text (byte {error.start})", fix="save it as UTF-8") from None


def from_json(text: str | bytes, where: str, fix: str) -> Any:
    """JSON as plain values. Raises InputError that says where it stands if it is none, or nested without end."""
    try:
        return json.loads(decoded(text, where) if isinstance(text, bytes) else text)
    except ValueError as error:
        raise InputError(f"{where}: is not JSON ({error})", fix=fix) from None
    except RecursionError:
        raise InputError(f"{where}: is nested too deeply to be read", fix=fix) from None


def json_lines(data: bytes, where: str, fix: str) -> Iterator[tuple[int, Any]]:
    r"""Yield (line number from 1, value) of a .jsonl file; blank lines are skipped.

    Lines end at \n alone: a JSON text may hold U+2028, U+0085 and others at which `str.splitlines` splits.
    """
    for number, line in enumerate(decoded(data, where).split("\n"), start=1):
        if line.strip():
            yield number, from_json(line, f"{where}:{number}", fix)


def json_line(value: Any) -> str:
    """One line of a .jsonl file, as lerobot's writer puts it."""
    return json.dumps(value, ensure_ascii=False) + "\n"


def printable(text: str) -> str:
    """A foreign name for a message: at most SHOWN characters, what is not printable as an escape."""
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in short)


def sentence_problem(text: str) -> str | None:
    """Why a text is not a task text, None if it is one: not blank, and without control characters.

    Tabs and line breaks are let through, and every other script's letters, separators and signs.
    """
    if not text.strip():
        return "is blank"
    for place, letter in enumerate(text):
        if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n":
            return f"holds the control character {letter!a} at place {place}"
    return None


def require_sentence(text: str, where: str) -> None:
    """Refuse what is not a task text; where: the option or field. Raises InputError."""
    if problem := sentence_problem(text):
        raise InputError(f"{where} {problem}", fix='write what the robot does, e.g. "Lift the red cube up."')


def not_writable(value: object, field: str = "") -> Iterator[str]:
    """Fields with characters that YAML can write as escapes but no file or file name can hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from not_writable(key, field)
            yield from not_writable(item, f"{field}.{key!a}".replace("'", "").lstrip("."))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from not_writable(item, f"{field}.{index}")
    elif isinstance(value, str) and any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value):
        yield field
