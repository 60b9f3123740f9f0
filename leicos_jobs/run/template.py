"""A commented configuration file, from the same descriptions that feed the schema: `leicos init` writes it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from leicos_jobs.run.config import RunConfig

WIDTH = 110


def commented_yaml(config: RunConfig) -> str:
    """The whole configuration as YAML, each field under its description. Parsing it gives `config` again."""
    head = "# A run of leicos. Every field has its default unless changed; unknown fields are refused.\n"
    return head + "\n".join(_section(config, 0)) + "\n"


def schema() -> str:
    """JSON schema of the configuration, for editors."""
    return json.dumps(RunConfig.model_json_schema(), indent=2)


def _section(model: BaseModel, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        text = field.description or (type(value).__doc__ if isinstance(value, BaseModel) else "") or ""
        yield from (f"{pad}# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - len(pad)))
        if isinstance(value, BaseModel):
            yield f"{pad}{name}:"
            yield from _section(value, depth + 1)
        else:
            yield f"{pad}{name}: {_inline(value)}"


def _inline(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    return text.removesuffix("\n...").removesuffix("...").strip()
