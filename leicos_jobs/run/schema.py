"""JSON schema of the configuration, with the settings of every installed backend, for people and editors."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from leicos_jobs.backends import registry
from leicos_jobs.backends.base import Kind
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.config import GenerateConfig, IdmConfig, ReplayConfig, RunConfig
from leicos_jobs.run.config_gate import CriticConfig

SECTIONS: dict[type[BaseModel], Kind] = {
    GenerateConfig: "generate", IdmConfig: "train", ReplayConfig: "replay", CriticConfig: "critic",
}  # fmt: skip
"""Sections that name a backend, with the kind of it."""
Json = dict[str, Any]


def schema() -> str:
    """The schema as text. A backend whose extra is not installed is left out."""
    whole = RunConfig.model_json_schema()
    for section, kind in SECTIONS.items():
        default = section.model_fields["backend"].default
        rules = [
            {"if": _named(name, name == default), "then": {"properties": {"settings": place}}}
            for name, place in _settings(kind, whole["$defs"])
        ]
        if rules and section.__name__ in whole["$defs"]:
            whole["$defs"][section.__name__]["allOf"] = rules
    # the labeller is the IDM's backend: another section says which
    whole["allOf"] = [
        {
            "if": {"properties": {"idm": _named(name, name == IdmConfig().backend)}},
            "then": {"properties": {"label": {"properties": {"settings": place}}}},
        }
        for name, place in _settings("label", whole["$defs"])
    ]
    return json.dumps(whole, indent=2)


def settings_of(kind: Kind, name: str) -> type[BaseModel] | None:
    """The settings that a backend takes; None where its extra is not installed."""
    try:
        return registry.load(kind, name).Settings
    except InputError:
        return None


def _settings(kind: Kind, definitions: Json) -> list[tuple[str, Json]]:
    """(backend, reference to the schema of its settings), which is added to the definitions."""
    places = []
    for name in registry.installed(kind):
        if (model := settings_of(kind, name)) is not None:
            own = model.model_json_schema(ref_template=f"#/$defs/{kind}:{name}:{{model}}")
            for inner, definition in own.pop("$defs", {}).items():
                definitions[f"{kind}:{name}:{inner}"] = definition
            definitions[f"{kind}:{name}"] = own
            places.append((name, {"$ref": f"#/$defs/{kind}:{name}"}))
    return places


def _named(name: str, default: bool) -> Json:
    """A section that names this backend, or none if it is the default."""
    return {"properties": {"backend": {"const": name}}} | ({} if default else {"required": ["backend"]})
