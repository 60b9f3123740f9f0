"""Too many refusals stop a run: the gate notes it, and whatever would spend more on the plan asks here first.

The note belongs to the plan and to the limits: another generator, plan or limit goes on.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.stages import GATE
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.commits import make_key
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.results import Results
from leicos_jobs.store import KeyMissingError


class Stop(BaseModel):
    """What the gate saw when it stopped the run. reasons: how often each. sheet: key of the contact sheet, if one could
    be drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judged: int
    refused: int
    reasons: dict[str, int]
    sheet: str | None = None

    def error(self, uri: str, limit: float) -> InputError:
        """What is wrong and what the user can do."""
        listed = "".join(f"\n  {count} x {reason}" for reason, count in self.reasons.items())
        look = f"{uri}/{self.sheet}" if self.sheet else f"the videos in {uri}/generate"
        return InputError(
            f"the gate refused {self.refused} of {self.judged} videos, more than gate.refused_share_max "
            f"({limit:g}) allows{listed}",
            fix=f"look at {look}; correct the generator, or raise gate.refused_share_max (1 never stops) and start "
            "again with --amend",
        )


def key_of(results: Results) -> str:
    """Key of the note: of the present plan and the gate's settings."""
    settings = results.config.gate.model_dump(mode="json")
    return make_key("gate", GATE.version, settings, {"plan": str(results.result("plan"))})


def exceeded(gate: GateConfig, judged: int, refused: int, least: int | None = None) -> bool:
    """Whether so many refusals stop the run. least: videos that must have been judged, by default as configured."""
    enough = gate.refused_videos_min if least is None else least
    return judged >= enough and refused > gate.refused_share_max * judged


def commit(results: Results, stop: Stop) -> Stop:
    """Note that the run stops; returns the note that counts."""
    key, uri = layout.stop(key_of(results)), results.run.store.uri
    return sealed.load(Stop, results.run.store.create(key, sealed.dump(stop)), key, uri)


def require_few(results: Results) -> None:
    """Raises InputError if the gate has stopped the run, DamageError."""
    key, uri = layout.stop(key_of(results)), results.run.store.uri
    try:
        stop = sealed.load(Stop, results.run.store.read(key), key, uri)
    except KeyMissingError:
        return
    raise stop.error(uri, results.config.gate.refused_share_max)
