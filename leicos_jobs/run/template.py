"""A commented configuration file, from the same descriptions that feed the schema: `leicos init` writes it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.config_section import BackendConfig
from leicos_jobs.run.schema import SECTIONS, settings_of

WIDTH = 110


def commented_yaml(config: RunConfig) -> str:
    """The whole configuration as YAML, each field under its description. Parsing it gives `config` again."""
    head = "# A run of leicos. Every field has its default unless changed; unknown fields are refused.\n"
    return head + "\n".join(_section(config, 0)) + "\n"


def _section(model: BaseModel, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        text = field.description or (type(value).__doc__ if isinstance(value, BaseModel) else "") or ""
        yield from (f"{pad}# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - len(pad)))
        if name == "settings":
            yield from (f"{pad}# {line}" for line in _settings(model))
        if isinstance(value, BaseModel):
            yield f"{pad}{name}:"
            yield from _section(value, depth + 1)
        else:
            yield f"{pad}{name}: {_inline(value)}"


def _settings(section: BaseModel) -> Iterator[str]:
    """The settings of a section's backend that are left at their defaults, with their descriptions."""
    kind = SECTIONS.get(type(section))
    if kind is None or not isinstance(section, BackendConfig):
        return
    model = settings_of(kind, section.backend)
    if model is None:
        yield f"The settings of {section.backend} are not known here: its extra is not installed."
        return
    for name, field in model.model_fields.items():
        if name not in section.settings:
            value = field.get_default(call_default_factory=True) if not field.is_required() else "(to be given)"
            shown = _inline(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
            text = textwrap.wrap(" ".join((field.description or "").split()), WIDTH - 6)
            first = textwrap.shorten(f"{name}: {shown}", WIDTH, placeholder=" ...")
            yield from (f"  {line}" for line in [first, *(f"  {line}" for line in text)])


def _inline(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    return text.removesuffix("\n...").removesuffix("...").strip()
