"""The gate's scores of the source's own videos: made once per dataset, camera and version of the gate, then read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from leicos_jobs.core.stages import GATE
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.commits import make_key
from leicos_jobs.run.results import Results
from leicos_jobs.run.sealed import DamageError
from leicos_jobs.store import KeyMissingError


class Calibration(BaseModel):
    """scores: name -> one number per real video that was scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    scores: dict[str, list[float]]


def find(results: Results) -> Calibration | None:
    """The calibration of the run as it is configured now, None before the gate has made it. Raises DamageError."""
    key = key_of(results)
    try:
        return _parsed(results, key, results.run.store.read(layout.calibration(key)))
    except KeyMissingError:
        return None


def commit(results: Results, scores: dict[str, list[float]]) -> Calibration:
    """Write it; returns the one that counts."""
    key = key_of(results)
    made = sealed.dump(Calibration(key=key, scores=scores))
    return _parsed(results, key, results.run.store.create(layout.calibration(key), made))


def key_of(results: Results) -> str:
    """The key under which the calibration counts now. Raises InputError before convert."""
    config = results.config
    settings = {"camera": config.source.camera, "frames": config.generate.frames}
    return make_key("gate", GATE.version, settings, {"source": results.needed("convert").digest()})


def _parsed(results: Results, key: str, data: bytes) -> Calibration:
    name, uri = layout.calibration(key), results.run.store.uri
    calibration = sealed.load(Calibration, data, name, uri)
    if calibration.key != key:
        raise DamageError(name, uri, f"it is the calibration {calibration.key}")
    return calibration
