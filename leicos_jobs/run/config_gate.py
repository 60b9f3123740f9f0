"""The configuration of the gate: its checks, their limits, and when it stops a run."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from leicos_jobs.run.config_section import BackendConfig, Section

GateCheck = Literal["start-frame", "flat", "noise", "melted", "flicker", "static", "jump", "vanished", "doubled"]
"""A reason for which the gate refuses a video."""
GATE_CHECKS: tuple[GateCheck, ...] = get_args(GateCheck)


class CriticConfig(BackendConfig):
    """A critic: a model's opinion of what the gate's own checks let through."""

    min_scores: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)
    """Score -> the least (0 to 1) that a video needs, e.g. {physics: 0.5}; which scores there are the critic says."""


class GateConfig(Section):
    """Cheap checks between generation and labelling. Limits are relative to the same scores of the source's videos."""

    checks: tuple[GateCheck, ...] = GATE_CHECKS
    """Checks that may refuse a video; every video gets all scores. [] refuses none."""
    start_psnr_min: float = Field(30.0, ge=0)
    """start-frame: dB; the mean over the conditioning frames against the clip must reach it. Not relative."""
    contrast_min: float = Field(0.4, ge=0, le=1)
    """flat: contrast as a share of the clip's, at least this share of the source's least. A black picture has none."""
    detail_max: float = Field(1.5, ge=1)
    """noise: detail as a multiple of the clip's, at most this multiple of the source's most. Blur has less detail."""
    detail_min: float = Field(0.65, ge=0, le=1)
    """melted: detail as a share of the generator's own first frames', at least this share of the source's least."""
    flicker_max: float = Field(1.0, ge=0)
    """flicker: grey levels by which the whole picture swings from frame to frame, more than the source's most."""
    motion_min: float = Field(0.3, ge=0, le=1)
    """static: change within half a second, at least this share of the source's least."""
    still_max: float = Field(1.0, ge=0)
    """static: seconds of standstill more than the source's longest, in a video that also misses moving_min."""
    moving_min: float = Field(0.85, ge=0, le=1)
    """static: seconds in motion, as a share of the source's fewest."""
    jump_max: float = Field(1.1, ge=1)
    """jump: area that changes in one step over that of four, at most this multiple of the source's most, and 1."""
    least_min: float = Field(0.8, ge=0, le=1)
    """vanished: what is left of a colour, at least this share of the source's least: a hand covers things there too."""
    most_max: float = Field(1.4, ge=1)
    """doubled: how much of a colour there is, at most this multiple of the source's most."""
    refused_share_max: float = Field(0.7, ge=0, le=1)
    """A run whose gate refuses a larger share of the videos stops (exit 78) before it makes more; 1 never stops."""
    refused_videos_min: int = Field(24, ge=1)
    """Videos that must have been judged before a run stops for that."""
    critic: CriticConfig | None = None
    """None by default. It runs in the gate's pods, on the cpu pool: one with a large model asks a server for it."""
