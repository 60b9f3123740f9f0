"""How long a plan takes on a pool of GPUs: samples that workers pull, beside equal shards, in one simulation.

    python -m benchmarks.pulling --seeds 20

The claims and the planning of rounds are leicos' own (`run/claims.py`, `run/rounds.py`), played by
`run/simulation.py`. The peer is what leicos did before: equal parts of the list, each for a pod that goes on where it
was lost. bound: see `Scenario.bound`.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Sequence

from leicos_jobs.run.claims import Pull
from leicos_jobs.run.config import PlanConfig
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.run.simulation import Outcome, Scenario, simulate

SAMPLES, GPUS, MEAN, SIGMA, LOAD, START, LOST = 10_000, 64, 150.0, 0.5, 180.0, 60.0, 0.05
BARS = {"pulling": 1.03, "pulling, pool halves and doubles twice": 1.06}


class OwnPart(Pull):
    """A worker that keeps to its own part of the list: an equal shard."""

    def _candidates(self, wanted: int) -> list[str]:
        return super()._candidates(wanted) if self._free[self._worker] else []


def times(samples: int, seed: int) -> list[float]:
    """Seconds of each sample: lognormal of the given mean and sigma."""
    chance = random.Random(seed)
    return [chance.lognormvariate(math.log(MEAN) - SIGMA**2 / 2, SIGMA) for _ in range(samples)]


def scenarios(seconds: Sequence[float], gpus: int) -> dict[str, Scenario]:
    """What is compared, on the same samples."""
    plan = PlanConfig(samples=len(seconds), workers=gpus)
    usual = {"seconds": seconds, "gpus": gpus, "load": LOAD, "start": START, "lost_per_hour": LOST}
    # half of the pool is gone in the second and in the fourth fifth of the time that all of it would take
    fifth = sum(seconds) / gpus / 5
    changes = tuple((fifth * (number + 1), gpus // (2 - number % 2)) for number in range(4))
    return {
        "pulling": Scenario(plan=plan, **usual),
        "pulling, with a scout for the gate": Scenario(plan=plan, gate=GateConfig(), **usual),
        "pulling, pool halves and doubles twice": Scenario(plan=plan, changes=changes, **usual),
        "equal shards, one per GPU": Scenario(plan=plan, puller=OwnPart, **usual),
        "equal shards, 300 (as leicos cut them)": Scenario(
            plan=plan.model_copy(update={"workers": 300}), puller=OwnPart, worker_seconds=3 * 3600, **usual
        ),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--gpus", type=int, default=GPUS)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    print(f"{options.samples} samples, {options.gpus} GPUs, {options.seeds} seeds; lognormal, mean {MEAN:g} s, sigma "
          f"{SIGMA:g}; load {LOAD:g} s, pod start {START:g} s, {LOST:.0%} of pods lost per hour\n")  # fmt: skip
    print(f"{'way':42} {'hours':>6} {'ratio to bound':>14} {'(least-most)':>15} {'GPU-h':>7} {'lost':>6} "
          f"{'rounds':>6} {'requests/sample':>15} {'CPU s':>6}")  # fmt: skip
    wrong = []
    for name in scenarios([1.0], 2):
        begun, outcomes, ratios = time.process_time(), list[Outcome](), list[float]()
        for seed in range(options.seeds):
            scenario = scenarios(times(options.samples, seed), options.gpus)[name]
            outcome = simulate(scenario, seed)
            outcomes.append(outcome)
            ratios.append(outcome.seconds / scenario.bound(outcome.losses))

        def mean(field: str, outcomes: list[Outcome] = outcomes) -> float:
            return statistics.fmean(getattr(outcome, field) for outcome in outcomes)

        ratio = statistics.fmean(ratios)
        print(f"{name:42} {mean('seconds') / 3600:6.2f} {ratio:14.3f} {f'({min(ratios):.3f}-{max(ratios):.3f})':>15} "
              f"{mean('gpu_seconds') / 3600:7.1f} {mean('lost_seconds') / 3600:6.1f} {mean('rounds'):6.1f} "
              f"{mean('requests') / options.samples:15.2f} {time.process_time() - begun:6.1f}", flush=True)  # fmt: skip
        if any(outcome.missing for outcome in outcomes):
            wrong.append(f"{name}: not all samples were made")
        if ratio > BARS.get(name, math.inf):
            wrong.append(f"{name}: {ratio:.3f} is above the bar {BARS[name]}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
