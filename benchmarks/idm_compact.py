"""How good the compact IDM's labels are: record, convert, train, imagine, label, replay; prints one JSON object.

    python benchmarks/idm_compact.py --work /tmp/idm --record-seed 0 --test-seed 5 --samples 60

Training: the successful demos of one recording, a quarter held out as in a pipeline run. Test: imagined videos (wider
motion, a quarter of the attempts fail on purpose, light, colours and camera drift) from starts of the held-out and of
the training demos, and, with --test-seed, from starts of another recording altogether. No video is left out by what
truly happens in it; defective ones are not made here, since they are the gate's business.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.contracts import GenerateRequest, ReplayRequest, TrainRequest
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.media.encode import write_video
from leicos_jobs.robots.embodiment import SO101
from leicos_jobs.robots.resample import to_control_rate

F32 = NDArray[np.float32]
CLIP = 5
HOLD = 30
SIZE = (320, 240)


def record(folder: Path, seed: int, episodes: int, workers: int) -> Path:
    """`demos.hdf5` and `dataset/` under `folder`, unless they are there."""
    from leicos_jobs.backends.mujoco import recorder
    from leicos_jobs.stages.convert import ConvertOptions, convert

    source = folder / "demos.hdf5"
    if not source.exists():
        # Never in this process: drawing with Mesa and then importing PyTorch ended in a segmentation fault.
        recorder.record(source, episodes, seed, *SIZE, workers=max(2, workers))
    if not (folder / "dataset/meta/info.json").exists():
        options = ConvertOptions(SO101, "Lift the red cube up.", control_hz=60.0, workers=workers)
        convert([source], folder / "dataset", options)
    return folder


def episodes_of(folder: Path) -> list[dict[str, Any]]:
    """The map episode -> demo, rows."""
    lines = (folder / "dataset/meta/leicos/episodes.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def split(count: int, seed: int) -> tuple[list[int], list[int]]:
    """Training and held-out episodes; a quarter is held out."""
    order = np.random.default_rng([seed, 31]).permutation(count)
    held = sorted(int(e) for e in order[: -(-count // 4)])
    return [e for e in range(count) if e not in set(held)], held


@dataclass(frozen=True)
class Case:
    """A labelled-to-be video: truth and start for the replay."""

    name: str
    video: Path
    action: F32
    start: dict[str, Any]


def imagine(
    folder: Path, out: Path, episodes: list[int], samples: int, seed: int, workers: int, frames: int
) -> list[Case]:
    """`samples` imagined videos from starts of these episodes, in turn; kept under `out` for the next time."""
    out.mkdir(parents=True, exist_ok=True)
    jobs = [
        (folder, out / f"{number:04d}", episodes[number % len(episodes)], seed + number, frames)
        for number in range(samples)
    ]
    missing = [job for job in jobs if not (job[1] / "case.npz").exists()]
    if missing:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            pool.map(_imagine_one, missing, chunksize=4)
    cases = []
    for _, place, *_ in jobs:
        start = json.loads((place / "start.json").read_text())
        cases.append(Case(place.name, place / "video.mp4", np.load(place / "case.npz")["action"], start))
    return cases


_generators: dict[str, Any] = {}


def _imagine_one(job: tuple[Path, Path, int, int, int]) -> None:
    from leicos_jobs.backends.generate.mujoco import MujocoGenerator, MujocoGeneratorSettings

    folder, place, episode, seed, frames = job
    if "one" not in _generators:
        _generators["one"] = MujocoGenerator(MujocoGeneratorSettings(defect_share=0.0), None, place)
    item = episodes_of(folder)[episode]
    rows = [item["first_row"] + index * item["stride"] for index in range(CLIP)]
    place.mkdir(parents=True, exist_ok=True)
    with Recording(folder / "demos.hdf5") as recording:
        demo = recording.demo(item["demo"], ("front",))
        write_video(place / "clip.mp4", demo.frames("front", rows), 30, crf=8, gop=1)
        start = demo.state_at(rows[0])
        start["conditioning/actions"] = [float(value) for value in np.ravel(demo.actions[rows[0] : rows[-1]])]
    request = GenerateRequest(place.name, "", seed, place / "clip.mp4", start, 30.0, frames, *SIZE, place)
    for result in _generators["one"].process([request], lambda _: None):
        assert result.truth is not None
        (place / "start.json").write_text(json.dumps(start))
        np.savez(place / "case.npz", action=result.truth["action"])


def demos(folder: Path, episodes: list[int]) -> list[Case]:
    """The real videos of these episodes, with the start that their first row has."""
    found = []
    with Recording(folder / "demos.hdf5") as recording:
        for episode in episodes:
            item = episodes_of(folder)[episode]
            demo = recording.demo(item["demo"], ("front",))
            rows = item["first_row"] + item["stride"] * np.arange(item["frames"])
            video = folder / f"dataset/videos/chunk-000/observation.images.front/episode_{episode:06d}.mp4"
            action = SO101.to_motor(np.asarray(demo.actions)[rows])
            found.append(Case(f"demo{episode}", video, action, demo.state_at(item["first_row"])))
    return found


def outcomes(cases: list[Case], actions: list[F32]) -> NDArray[np.bool_]:
    """Success of each case when these actions (rows of the dataset) are replayed from its start."""
    from leicos_jobs.backends.replay.mujoco import MujocoReplayer, MujocoReplayerSettings

    replayer = MujocoReplayer(MujocoReplayerSettings(), Path())
    requests = [
        ReplayRequest(case.name, case.start, to_control_rate(rows, 2, SO101), 60.0, HOLD)
        for case, rows in zip(cases, actions, strict=True)
    ]
    return np.array([result.metrics["success"] for result in replayer.process(requests, lambda _: None)])


def judge(artifact: Path, cases: list[Case], training: list[F32], settings: dict[str, Any]) -> dict[str, Any]:
    """Errors, replay outcomes against true actions', and labelling speed."""
    from leicos_jobs.backends.label import metrics
    from leicos_jobs.backends.label.compact.infer import CompactLabeller
    from leicos_jobs.backends.label.compact.settings import LabellerSettings

    labeller = CompactLabeller(LabellerSettings(**settings), artifact, Path())
    begun = time.perf_counter()
    labels = [labeller.label(case.video) for case in cases]
    seconds = time.perf_counter() - begun
    truths = [case.action for case in cases]
    figures = metrics.judge(labels, truths, training, SO101.degrees_per_unit(), SO101.motor_limits())
    ceiling, reached = outcomes(cases, truths), outcomes(cases, labels)
    floor = outcomes(cases, labels[1:] + labels[:1])
    return {
        "cases": len(cases),
        "mae_deg": [round(value, 2) for value in figures["mae_deg"]],
        "arm_mae_deg": round(float(np.mean(figures["mae_deg"][:5])), 2),
        "ceiling": int(ceiling.sum()),
        "labels": int(reached.sum()),
        "of_ceiling": round(float(reached.sum() / max(1, ceiling.sum())), 3),
        "agreement": round(float((ceiling == reached).mean()), 3),
        "other_labels": int(floor.sum()),
        "frames_per_second": round(sum(map(len, labels)) / seconds, 1),
        "metrics": figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for everything; what is there is used again")
    parser.add_argument("--record-seed", type=int, default=0)
    parser.add_argument("--test-seed", type=int, help="seed of a second recording, only for test starts")
    parser.add_argument("--episodes", type=int, default=90)
    parser.add_argument("--samples", type=int, default=60, help="imagined videos a group")
    parser.add_argument("--frames", type=int, default=140)
    parser.add_argument("--seed", type=int, default=0, help="of split and training")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="training settings")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="labelling settings")
    options = parser.parse_args()
    from leicos_jobs.backends.label.compact import train

    work: Path = options.work
    world = record(work / f"world{options.record_seed}", options.record_seed, options.episodes, options.workers)
    trained, held = split(len(episodes_of(world)), options.seed)
    trainer = train.CompactTrainer(train.settings_from(options.set), work)
    out = work / "artifact"
    facts = trainer.train(
        TrainRequest(world / "dataset", "front", trained, held, options.seed, out, work / "resume", lambda a, b: None)
    )
    # Imagined videos have seeds of their own: those used while the model was designed were below 50000.
    first, common = 60000, (options.samples, 60000, options.workers, options.frames)
    groups = {
        "held_out_demos": demos(world, held),
        "imagined_from_held_out": imagine(world, work / f"held{options.record_seed}-{first}", held, *common),
        "imagined_from_training": imagine(world, work / f"seen{options.record_seed}-{first}", trained, *common),
    }
    if options.test_seed is not None:
        other = record(work / f"world{options.test_seed}", options.test_seed, options.samples, options.workers)
        every = list(range(len(episodes_of(other))))
        groups["imagined_elsewhere"] = imagine(other, work / f"other{options.test_seed}-{first}", every, *common)
    training = [demo.action for demo in demos(world, trained)]
    settings = {key: value for key, _, value in (pair.partition("=") for pair in options.label)}
    report = {name: judge(out, cases, training, settings) for name, cases in groups.items()}
    print(
        json.dumps({"training": {k: facts[k] for k in ("seconds", "samples", "frames", "window")}, **report}, indent=1)
    )


if __name__ == "__main__":
    main()
