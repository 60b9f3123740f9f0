"""What every section of a run's configuration has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Section(BaseModel):
    """Base of all sections. Numbers are finite: run.json must read back as what it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class BackendConfig(Section):
    """A backend and its settings; the backend's own model checks them."""

    backend: str
    """Name of an installed backend."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings of that backend."""
