"""How long a run's generation takes on pools of several sizes, what it costs, and which size is worth it: simulated."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from leicos_jobs.core.stages import GENERATE
from leicos_jobs.core.workflow_size import ROUNDS, most_workers
from leicos_jobs.run import layout
from leicos_jobs.run.measured import read_timing
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results
from leicos_jobs.run.simulation import Outcome, Scenario, simulate

SIGMA = 0.5
"""Spread of a sample's time where none was measured: lognormal."""
MEASURED_LEAST = 16
"""Samples that must have been made before their times are taken instead of the configuration's."""
WORTH = 1.1
"""GPU-hours over the least of all sizes that a shorter run may cost."""


@dataclass(frozen=True)
class Times:
    """What one sample takes, as measured or as drawn, and what loading takes, in seconds."""

    seconds: Sequence[float]
    load: float
    measured: bool


@dataclass(frozen=True)
class Size:
    """A pool's size, and means over the seeds. ratio: to the bound. lost_hours: of GPUs, on work that was lost."""

    gpus: int
    hours: float
    ratio: float
    gpu_hours: float
    dollars: float
    lost_hours: float
    missing: float


@dataclass(frozen=True)
class PoolSizes:
    """What `leicos plan --simulate` says."""

    samples: int
    times: Times
    lost_per_hour: float
    seeds: int
    sizes: Sequence[Size]

    @property
    def worth(self) -> Size:
        """The largest pool whose GPU-hours are near the least."""
        least = min(size.gpu_hours for size in self.sizes)
        return max((size for size in self.sizes if size.gpu_hours <= WORTH * least), key=lambda size: size.gpus)

    def text(self) -> str:
        """For people."""
        mean = statistics.fmean(self.times.seconds)
        origin = f"{len(self.times.seconds)} measured times" if self.times.measured else "times of `cost`"
        lines = [
            f"simulated: {self.samples} samples, {origin} ({mean:.1f} s per sample, {self.times.load:.1f} s to load), "
            f"{self.lost_per_hour:.0%} of pods lost per hour, {self.seeds} seeds",
            f"{'GPUs':>6} {'hours':>8} {'to bound':>9} {'GPU-hours':>10} {'dollars':>10} {'lost GPU-hours':>15}",
        ]
        for size in self.sizes:
            left = f"  {size.missing:.0f} samples missing after {ROUNDS} rounds" if size.missing else ""
            lines.append(
                f"{size.gpus:6} {size.hours:8.2f} {size.ratio:9.3f} {size.gpu_hours:10.2f} {size.dollars:10.2f} "
                f"{size.lost_hours:15.2f}{left}"
            )
        over = f"GPU-hours are within {WORTH - 1:.0%} of the least"
        lines.append(f"worth it: {self.worth.gpus} GPUs ({over}); set plan.workers to it")
        return "\n".join(lines)


def measured_times(run: Run) -> Times:
    """Times of the run's own samples and loads; where too few are made, draws by its `cost`."""
    cost, results = run.config.cost, Results(run)
    records = [state.generate for state in results.samples_standing.states] if results.current("plan") else []
    seconds = [float(record.facts["seconds"]) for record in records if record is not None]
    if len(seconds) < MEASURED_LEAST:
        chance, middle = random.Random(0), math.log(cost.generate_seconds) - SIGMA**2 / 2
        drawn = [chance.lognormvariate(middle, SIGMA) for _ in range(4096)]
        return Times(drawn, cost.load_seconds, measured=False)
    keys = run.store.list(layout.timing(GENERATE.name, "").rpartition("/")[0] + "/")
    timings = (read_timing(run.store, key) for key in keys)
    loads = [timing.load_seconds for timing in timings if timing is not None and timing.load_seconds]
    return Times(seconds, statistics.fmean(loads) if loads else cost.load_seconds, measured=True)


def pool_sizes(run: Run, gpus: int, seeds: int, lost_per_hour: float, start: float) -> PoolSizes:
    """Simulate the whole plan on this many GPUs, and on fewer and more. start: seconds until a pod's program runs."""
    config, times = run.config, measured_times(run)
    most = most_workers(ROUNDS, 2 * config.replay.workers)
    counts = sorted({min(most, max(1, round(gpus * factor))) for factor in (0.25, 0.5, 1, 2, 4)})
    price = config.cost.dollars_per_hour.get(GENERATE.pool, 0.0)
    sizes = []
    for count in counts:
        played: list[tuple[Outcome, float]] = []
        for seed in range(seeds):
            seconds = random.Random(seed).choices(times.seconds, k=config.plan.samples)
            scenario = Scenario(
                seconds=seconds,
                gpus=count,
                plan=config.plan.model_copy(update={"workers": count}),
                load=times.load,
                start=start,
                lost_per_hour=lost_per_hour,
                worker_seconds=config.rounds.worker_seconds,
                gate=config.gate,
            )
            outcome = simulate(scenario, seed)
            played.append((outcome, outcome.seconds / scenario.bound(outcome.losses)))
        gpu_hours = statistics.fmean(outcome.gpu_seconds for outcome, _ in played) / 3600
        sizes.append(
            Size(
                gpus=count,
                hours=statistics.fmean(outcome.seconds for outcome, _ in played) / 3600,
                ratio=statistics.fmean(ratio for _, ratio in played),
                gpu_hours=gpu_hours,
                dollars=gpu_hours * price,
                lost_hours=statistics.fmean(outcome.lost_seconds for outcome, _ in played) / 3600,
                missing=statistics.fmean(outcome.missing for outcome, _ in played),
            )
        )
    return PoolSizes(config.plan.samples, times, lost_per_hour, seeds, sizes)
