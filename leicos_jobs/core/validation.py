"""What pydantic found wrong, for people."""

from __future__ import annotations

from pydantic import ValidationError


def describe_errors(error: ValidationError) -> str:
    """One line a validation error: field, what is wrong, what was given."""
    lines = []
    for item in error.errors(include_url=False):
        field = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown field"
        given = "" if item["type"] in ("missing", "extra_forbidden") else f" (given: {item['input']!r:.80})"
        lines.append(f"  {field}: {message}{given}")
    return "\n".join(lines)
