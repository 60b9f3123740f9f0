"""YAML that people wrote: what breaks its reader is an input error that names the file."""

from __future__ import annotations

from typing import Any

import yaml

from leicos_jobs.core.errors import InputError


def documents(text: str | bytes, where: str) -> list[Any]:
    """Parse every YAML (or JSON) document of a text; where: what an error calls it. Raises InputError."""
    try:
        return list(yaml.safe_load_all(text))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that cannot be one
        raise InputError(f"{where}: not YAML: {error}", fix="correct the syntax") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply", fix="remove the brackets that are too many") from None


def mapping(text: str | bytes, where: str, fix: str) -> dict[Any, Any]:
    """Parse one YAML document that is a mapping; fix: what an error for anything else advises. Raises InputError."""
    found = documents(text, where)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise InputError(f"{where}: is not one mapping of fields to values", fix=fix)
    return found[0]
