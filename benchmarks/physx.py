"""How far PhysX agrees with MuJoCo, and what it costs: record in both, replay in both; prints a table.

    LEICOS_ACCEPT_PHYSX_LICENCE=Y python benchmarks/physx.py --work /tmp/physx --episodes 80 --seed 7 --memory 500

A quarter of the attempts fails on purpose. Floors: another demo's actions from this demo's start, and a demo's own
actions with their rows shuffled, both of demos that succeeded.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from leicos_jobs.backends.base import Replayer
from leicos_jobs.backends.mujoco import recorder
from leicos_jobs.backends.mujoco.replayer import MujocoReplayer
from leicos_jobs.backends.mujoco.robot import JOINTS
from leicos_jobs.backends.physx.replayer import PhysxReplayer
from leicos_jobs.backends.registry import BackendSpec
from leicos_jobs.backends.requests import ReplayMetrics, ReplayRequest
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results
from leicos_jobs.stages.controls import ControlsStage
from leicos_jobs.stages.replay import ReplayStage
from leicos_jobs.work import messages
from leicos_jobs.work.child import Child

HOLD = 30
SIZE = (64, 48)
"""Nobody looks at the pictures."""


@dataclasses.dataclass(frozen=True)
class Demo:
    request: ReplayRequest
    success: bool


def demos(work: Path, engine: recorder.Engine, episodes: int, seed: int) -> list[Demo]:
    path = work / f"demos_{engine}.hdf5"
    if not path.exists():
        recorder.record(path, episodes, seed, *SIZE, failed_share=0.25, engine=engine)
    with h5py.File(path, "r") as file:
        groups = [file["data"][f"demo_{number}"] for number in range(episodes)]
        return [Demo(_request(group), bool(group.attrs["success"])) for group in groups]


def _request(group: Any) -> ReplayRequest:
    start: dict[str, list[float]] = {}
    group["initial_state"].visititems(
        lambda name, item: start.update({name: item[0].tolist()}) if isinstance(item, h5py.Dataset) else None
    )
    return ReplayRequest(group.name[-20:], start, JOINTS.to_motor(group["actions"][:]), 60.0, HOLD)


def replay(replayer: Replayer[Any], requests: Sequence[ReplayRequest]) -> list[ReplayMetrics]:
    return [result.metrics for result in replayer.process(requests, lambda sample: None)]


def row(what: str, count: int, of: int, bar: str) -> None:
    print(f"| {what} | {count} of {of} ({100 * count / max(1, of):.1f} %) | {bar} |", flush=True)


def compare(name: str, found: list[Demo], mujoco: Replayer[Any], physx: Replayer[Any]) -> None:
    requests = [demo.request for demo in found]
    print(f"\n| recorded in {name}, {len(found)} attempts | | bar |\n|---|---|---|")
    results = replay(physx, requests)
    good = [demo.success for demo in found]
    again = [bool(result.success) for result in results]
    row("same outcome replayed in PhysX", sum(a == b for a, b in zip(good, again, strict=True)), len(good), "90 %")
    row("of those that succeeded, succeed in PhysX", sum(a and b for a, b in zip(good, again, strict=True)), sum(good),
        "98 % if recorded in PhysX")  # fmt: skip
    row("of those that failed, fail in PhysX", sum(not (a or b) for a, b in zip(good, again, strict=True)),
        len(good) - sum(good), "")  # fmt: skip
    second = replay(physx, requests[::-1])[::-1]
    row("two replays equal to the bit, in another order", sum(a == b for a, b in zip(results, second, strict=True)),
        len(good), "all, or the spread")  # fmt: skip
    theirs = [bool(result.success) for result in replay(mujoco, requests)]
    row("MuJoCo and PhysX agree", sum(a == b for a, b in zip(theirs, again, strict=True)), len(good), "")
    lifted = [demo.request for demo in found if demo.success]
    rng = np.random.default_rng(0)
    others = [
        dataclasses.replace(one, actions=two.actions) for one, two in zip(lifted, lifted[1:] + lifted[:1], strict=True)
    ]
    shuffled = [dataclasses.replace(one, actions=rng.permutation(one.actions)) for one in lifted]
    row(
        "another demo's actions succeed (floor)",
        sum(bool(r.success) for r in replay(physx, others)),
        len(lifted),
        "at most 20 %",
    )
    row("shuffled rows succeed (floor)", sum(bool(r.success) for r in replay(physx, shuffled)), len(lifted), "near 0")
    errors = [result.tracking_error_deg for result in results]
    print(f"| tracking error of the arm in PhysX, median | {np.median(errors):.2f} degrees | |")


def labels(root: str, work: Path, engines: dict[str, Replayer[Any]]) -> None:
    run = open_run(root)
    states = [state for state in Results(run).samples_standing.states if state.label is not None]
    stage = ReplayStage(run)
    requests = [stage.request(state, work) for state in states]
    requests = [dataclasses.replace(request, sample=f"labels/{request.sample}") for request in requests]
    controls = ControlsStage(run)
    for state in states:
        replays = controls.request(state, work).replays
        requests += [dataclasses.replace(each, sample=f"{group}/{state.sample.id}") for group, each in replays.items()]
    verdicts = {
        name: {
            request.sample: bool(result.success)
            for request, result in zip(requests, replay(engine, requests), strict=True)
        }
        for name, engine in engines.items()
    }
    print(f"\n| {len(states)} labelled samples of {root} | {' | '.join(engines)} | agree |")
    print(f"|---|{'---|' * (len(engines) + 1)}")
    for group in ("labels", "truth", "truth_resampled", "other_demo", "shuffled"):
        chosen = [request.sample for request in requests if request.sample.startswith(f"{group}/")]
        said = [[verdicts[name][sample] for sample in chosen] for name in engines]
        agree = sum(len(set(words)) == 1 for words in zip(*said, strict=True))
        print(
            f"| {group} | {' | '.join(f'{sum(words)} of {len(chosen)}' for words in said)} | {agree} of {len(chosen)} |"
        )
    for name, words in verdicts.items():
        same = [words[f"labels/{state.sample.id}"] == words.get(f"truth/{state.sample.id}") for state in states]
        print(f"| same outcome with labels and with true actions, {name} | {sum(same)} of {len(same)} | | |")


def cost(found: list[Demo], replayer: Replayer[Any], samples: int) -> None:
    requests = [found[number % len(found)].request for number in range(samples)]
    steps = sum(len(request.actions) + HOLD for request in requests)
    print(f"\n| {samples} samples in one process | |\n|---|---|")
    cpu, clock = time.process_time(), time.monotonic()
    sizes = []
    for first in range(0, samples, 100):
        replay(replayer, requests[first : first + 100])
        sizes.append(resident(os.getpid()))
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    print(f"| control steps per CPU second | {steps / cpu:.0f} ({steps / 60 / cpu:.1f} times real time; bar 10) |")
    print(f"| control steps per second by the clock | {steps / clock:.0f} ({steps / 60 / clock:.1f} times real time) |")
    print(f"| resident after each 100 samples, MB | {', '.join(f'{size:.0f}' for size in sizes)} |")
    print(f"| peak, MB | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} |")


def in_a_pod(found: list[Demo], work: Path, samples: int) -> None:
    """As the worker drives it: a new process after the backend's lifetime."""
    requests = [found[number % len(found)].request for number in range(samples)]
    spec = BackendSpec.of(PhysxReplayer, settings=PhysxReplayer.Settings(), work=work)
    sizes, children, child = [], 0, None
    for first in range(0, samples, PhysxReplayer.batch):
        if child is None:
            child, children = Child(spec), children + 1
            child.ready("replay")
        child.send(requests[first : first + PhysxReplayer.batch])
        while not isinstance(message := child.receive(1.0), messages.End):
            assert not isinstance(message, messages.Failed), message
        sizes.append(resident(child.process.pid))
        if message.worn:
            child.kill()
            child = None
    if child is not None:
        child.kill()
    shown = ", ".join(f"{size:.0f}" for size in sizes[::6])
    print(f"| resident in {children} processes, MB, after each 96 samples | {shown} |")
    print(f"| most of them, MB | {max(sizes):.0f} |")


def resident(pid: int) -> float:
    """MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=80)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--memory", type=int, default=500, help="samples replayed in one process")
    parser.add_argument("--run", help="a finished run whose labels are judged instead")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    mujoco = MujocoReplayer(MujocoReplayer.Settings(), options.work)
    begun = time.process_time()
    physx = PhysxReplayer(PhysxReplayer.Settings(), options.work)
    print(f"opening the scene: {time.process_time() - begun:.1f} CPU s")
    if options.run:
        labels(options.run, options.work, {"mujoco": mujoco, "physx": physx})
        return
    engines: tuple[tuple[recorder.Engine, str], ...] = (("mujoco", "MuJoCo"), ("physx", "PhysX"))
    recorded = {engine: demos(options.work, engine, options.episodes, options.seed) for engine, _ in engines}
    for engine, name in engines:
        compare(name, recorded[engine], mujoco, physx)
    cost(recorded["mujoco"], physx, options.memory)
    in_a_pod(recorded["mujoco"], options.work, options.memory)


if __name__ == "__main__":
    main()
