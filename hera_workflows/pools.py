"""Pools: where a pod belongs, by kind of work. The chart overlays selectors, tolerations and sizes by pool label.

The sizes here are what a first installation can start from. GPU products are never named: they are values of the chart.
"""

from __future__ import annotations

from dataclasses import dataclass

from leicos_jobs.core.stages import Pool

LABEL = "leicos.dev/pool"
"""Pod label that names the pool; the only key by which the chart finds what to overlay."""


@dataclass(frozen=True)
class Size:
    """What one pod of a pool asks for, and how large its scratch space (/tmp) may grow."""

    cpu: str
    memory: str
    memory_limit: str
    gpus: int
    scratch: str


SIZES: dict[Pool, Size] = {
    Pool.GENERATE: Size(cpu="8", memory="64Gi", memory_limit="96Gi", gpus=1, scratch="50Gi"),
    Pool.TRAIN: Size(cpu="16", memory="96Gi", memory_limit="192Gi", gpus=1, scratch="200Gi"),
    Pool.LABEL: Size(cpu="4", memory="16Gi", memory_limit="32Gi", gpus=1, scratch="20Gi"),
    Pool.REPLAY: Size(cpu="4", memory="16Gi", memory_limit="32Gi", gpus=1, scratch="20Gi"),
    Pool.CPU: Size(cpu="1", memory="2Gi", memory_limit="8Gi", gpus=0, scratch="50Gi"),
}
