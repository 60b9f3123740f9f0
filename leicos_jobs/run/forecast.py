"""What a plan will cost, before anything is generated: counts, workers, GPU-hours, money, bytes, and whether the videos
are long enough for the task to finish in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from leicos_jobs.run import episodes
from leicos_jobs.run.capacity import require_capacity
from leicos_jobs.run.opened import Run
from leicos_jobs.run.plan import make_samples
from leicos_jobs.run.rounds import workers_of

BYTES_PER_PIXEL = 0.012
"""H.264 bytes per pixel and frame of such videos (docs/decisions/cpu_baseline.md 4: 4 KB per 640x480 frame)."""


@dataclass(frozen=True)
class Forecast:
    """Expected work of a plan."""

    samples: int
    held_out: int
    demos: int
    workers: int
    gpu_hours: float
    dollars: float
    gigabytes: float
    seconds_generated: float
    seconds_needed: float
    """Of the longest demo, from its row0 on."""

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.samples} samples from {self.demos} demos ({self.held_out} from demos that the IDM never sees)",
            f"{self.workers} workers in the first round",
            f"about {self.gpu_hours:.1f} GPU-hours of generation, {self.dollars:.2f} dollars, {self.gigabytes:.2f} GB",
            f"each video shows {self.seconds_generated:.1f} s; the longest demo needs {self.seconds_needed:.1f} s",
        ]
        if self.seconds_generated < self.seconds_needed:
            lines.append(
                "warning: the task cannot finish in the video for every demo; raise generate.frames or start later "
                "(plan.row0)"
            )
        return "\n".join(lines)


def forecast(run: Run) -> Forecast:
    """Work out the plan of a run whose dataset exists. Raises InputError if the rounds cannot hold it."""
    require_capacity(run.config)
    config, items = run.config, episodes.read(run)
    samples = make_samples(items, config, None)
    workers = workers_of(len(samples), config.plan.samples_per_worker, config.plan.workers)
    by_index = {item.episode_index: item for item in items}
    needed = max(
        by_index[sample.episode].frames / by_index[sample.episode].fps
        - (sample.row0 - by_index[sample.episode].first_row) / by_index[sample.episode].control_hz
        for sample in samples
    )
    seconds = len(samples) * config.cost.generate_seconds + workers * config.cost.load_seconds
    pixels = config.generate.width * config.generate.height * config.generate.frames * len(samples)
    return Forecast(
        samples=len(samples),
        held_out=sum(sample.split == "held_out" for sample in samples),
        demos=len({sample.episode for sample in samples}),
        workers=workers,
        gpu_hours=seconds / 3600,
        dollars=seconds / 3600 * config.cost.dollars_per_hour.get("generate", 0.0),
        gigabytes=math.ceil(pixels * BYTES_PER_PIXEL / 1e7) / 100,
        seconds_generated=config.generate.frames / items[0].fps,
        seconds_needed=needed,
    )
