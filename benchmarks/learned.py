"""The whole chain with a learned world model, on one machine: demos, post-training of size small, videos from starts
that neither generator nor IDM ever saw, gate, labels, replay; and a table from "videos" to "labels that work".

    python -m benchmarks.learned --work /tmp/learned --out out --minutes 8       one GPU; call it again to go on
    python -m benchmarks.learned --work /tmp/learned --scale tiny                the same script on a CPU

All is done by `leicos record` and `leicos run`: a call that is stopped or killed costs what was not committed yet, of a
training the steps since its last checkpoint. First every video is labelled and replayed with the gate off, then
the gate judges them at its defaults: so the table knows which refusals are right. No video is left out of it.

While the demos are recorded, the speed of both trainings is measured, and their steps are set to the minutes that they
may take. Exit code 75: the time is over, call again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

LEICOS = [sys.executable, "-m", "leicos_jobs.cli.main"]
GATE_OFF: dict[str, Any] = {"checks": []}
KEPT = ("log.txt", "learned.yaml", "verdicts.json", "replays.json", "generated.png")
OUT_BYTES = 15_000_000
STOP_SECONDS = 60.0


class TimeOverError(Exception):
    """Call again."""


class Clock:
    """When to stop. minutes None: never."""

    def __init__(self, minutes: float | None) -> None:
        self.begun = time.monotonic()
        self.end = None if minutes is None else self.begun + 60 * minutes

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.begun:6.1f} s] {text}", flush=True)

    def over(self) -> bool:
        return self.end is not None and time.monotonic() > self.end


def scale(args: argparse.Namespace) -> dict[str, Any]:
    """What the scale changes in the configuration."""
    if args.scale == "tiny":
        idm = {"steps": 20, "head_steps": 10, "checkpoint_every": 10, "threads": 1}
        return {
            "generate": {"frames": 24, "width": 128, "height": 96, "settings": {"size": "tiny", "steps": 2}},
            "idm": {"settings": idm},
            "label": {"settings": {"threads": 1}},
        }
    return {
        "generate": {
            "frames": 161, "width": 320, "height": 240,
            # compiling for a worker's few videos costs more than it saves
            "settings": {"size": "small", "steps": args.sampling_steps, "compile": False},
        },
        "idm": {"settings": {"size": "small", "steps": 2400, "head_steps": 1200}},
    }  # fmt: skip


def configuration(args: argparse.Namespace, training: dict[str, Any]) -> dict[str, Any]:
    parts = scale(args)
    parts["generate"]["settings"]["post_train"] = training
    return {
        "name": "learned",
        "source": {"files": [str(args.work / "demos.hdf5")], "task": "Lift the red cube up."},
        "split": {"held_out_share": 0.25},
        "plan": {"samples": args.videos, "held_out_share": 1.0},
        "generate": {"backend": "cosmos", **parts["generate"]},
        "gate": GATE_OFF,
        "idm": {"backend": "compact", **parts["idm"]},
        "label": parts.get("label", {}),
        "replay": {"backend": "mujoco"},
        "curate": {"require_success": False, "accept_unproven": True},
    }


def measured_steps(args: argparse.Namespace) -> dict[str, Any]:
    """Steps that take the minutes given, by a short trial of both trainings."""
    from benchmarks.learned_speed import steps_per_second

    rates = steps_per_second(args.batch)
    print(f"steps per second: {rates}", flush=True)
    steps = {name: max(50, round(60 * minutes * rates[name] / 50) * 50) for name, minutes in minutes_of(args).items()}
    return {"steps": steps["denoiser"], "autoencoder_steps": steps["autoencoder"], "batch": args.batch}


def minutes_of(args: argparse.Namespace) -> dict[str, float]:
    return {"denoiser": args.train_minutes, "autoencoder": args.autoencoder_minutes}


def prepare(args: argparse.Namespace, clock: Clock) -> None:
    """Demos and configuration. A recording that is cut off begins again."""
    demos, config = args.work / "demos.hdf5", args.work / "learned.yaml"
    if demos.is_file() and config.is_file():
        return
    small = ["--width", "128", "--height", "96"] if args.scale == "tiny" else []
    attempts = round(args.demos / 0.8)  # a fifth of the recording fails, as LeIsaac's do
    recording = None
    if not demos.is_file():
        command = [*LEICOS, "record", str(demos), "--episodes", str(attempts), "--seed", str(args.seed), *small]
        clock.say(f"recording {attempts} attempts")
        recording = subprocess.Popen([*command, "--workers", str(args.cores)], env=environment())
    training = {} if args.scale == "tiny" else measured_steps(args)
    clock.say(f"training: {training or 'the defaults of size tiny'}")
    while recording is not None and recording.poll() is None:
        time.sleep(0.2)
        if clock.over():
            recording.terminate()
            recording.wait()
            raise TimeOverError
    if recording is not None and recording.returncode:
        raise SystemExit(recording.returncode)
    config.write_text(yaml.safe_dump(configuration(args, training)))
    clock.say("recorded")


def environment() -> dict[str, str]:
    return {"MUJOCO_GL": "egl", **os.environ}


def run(args: argparse.Namespace, clock: Clock, amend: bool) -> None:
    """`leicos run` to its end, or until the time is over: then it is stopped, or left to itself if so asked."""
    config, log = args.work / ("gated.yaml" if amend else "learned.yaml"), args.work / "log.txt"
    command = [*LEICOS, "run", str(config), "--out", str(args.work / "run"), "--workers", str(args.workers)]
    pid = args.work / "pid"
    if not (pid.is_file() and Path(f"/proc/{pid.read_text()}/cmdline").is_file()):
        stream = log.open("ab")
        process = subprocess.Popen(
            [*command, *(["--amend"] if amend else [])],
            stdout=stream, stderr=stream, start_new_session=True, env=environment(),
        )  # fmt: skip
        pid.write_text(str(process.pid))
    number, shown = int(pid.read_text()), log.stat().st_size if log.is_file() else 0
    while _alive(number):
        time.sleep(0.5)
        shown = _show(log, shown, clock)
        if clock.over():
            if not args.leave_running:
                _stop(number)
                pid.unlink()
            _show(log, shown, clock)
            raise TimeOverError
    _show(log, shown, clock)
    pid.unlink()


def _alive(number: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(number, os.WNOHANG)
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _stop(number: int) -> None:
    os.kill(number, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while _alive(number) and time.monotonic() < end:
        time.sleep(0.2)


def _show(log: Path, begin: int, clock: Clock) -> int:
    with log.open("rb") as stream:
        stream.seek(begin)
        text = stream.read()
    for line in text.decode(errors="replace").splitlines():
        if line.strip():
            clock.say(line.rstrip())
    return begin + len(text)


def table(args: argparse.Namespace) -> dict[str, Any]:
    """Counts, none filtered by truth. `works`: replay of the labels fulfils the task's rule."""
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.results import Results

    results = Results(open_run(str(args.work / "run")))
    counted: dict[str, Any] = {"demos": args.demos, "planned": args.videos}
    if (trained := results.current("post-train")) is not None:
        keys = ("steps", "clips", "held_out_clips", "loss", "held_out_loss", "psnr", "seconds")
        counted["post-train"] = {key: trained.facts.get(key) for key in keys}
    if results.current("plan") is None:
        return counted
    verdicts = _read(args.work / "verdicts.json")
    states = results.samples_standing.states
    replays = _read(args.work / "replays.json") or replays_of(states)
    works = {name: bool(metrics["success"]) for name, metrics in replays.items()}
    failed = [metrics for metrics in replays.values() if not metrics["success"]]
    counted |= {
        "videos": sum(state.generate is not None for state in states),
        "labelled and replayed": len(replays),
        "never grasped": sum(metrics.get("first_grasp_row") is None for metrics in failed),
        "grasped, not lifted": sum(metrics.get("first_grasp_row") is not None for metrics in failed),
        "labels that work": sum(works.values()),
    }
    if works:
        counted["share that works"] = round(sum(works.values()) / len(works), 3)
    if verdicts:
        reasons = Counter(reason for name in verdicts for reason in verdicts[name] or ())
        judged = [(works[name], bool(refused)) for name, refused in verdicts.items() if name in works]
        counted["gate"] = {
            "judged": len(judged),
            "works, passed": sum(good and not refused for good, refused in judged),
            "works, refused": sum(good and refused for good, refused in judged),
            "fails, passed": sum(not good and not refused for good, refused in judged),
            "fails, refused": sum(not good and refused for good, refused in judged),
            "reasons": dict(reasons.most_common()),
        }
    scored = _read(args.work / "score.json")
    if scored:
        counted["replay"] = {name: item for name, item in scored["replay"]["all"].items() if isinstance(item, dict)}
    return counted


def replays_of(states: Sequence[Any]) -> dict[str, Any]:
    """What the replay of each sample measured."""
    return {state.sample.id: state.metrics.facts() for state in states if state.metrics is not None}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def keep_ungated(args: argparse.Namespace) -> None:
    """What the run with the gate off found: with the gate on, refused videos have no labels that count."""
    folder = args.work / "run"
    states = standing(args)
    (args.work / "replays.json").write_text(json.dumps(replays_of(states)))
    for name in ("score.json", "generated.png"):
        shutil.copyfile(folder / "report/latest" / name, args.work / name)
    config = yaml.safe_load((args.work / "learned.yaml").read_text())
    config["gate"] = {"refused_share_max": 1}  # all are judged: none stops the run
    (args.work / "gated.yaml").write_text(yaml.safe_dump(config))


def note_verdicts(args: argparse.Namespace, clock: Clock) -> None:
    """The gate at its defaults on the same videos; its verdicts by sample."""
    run(args, clock, amend=True)
    verdicts = {state.sample.id: state.gate.facts["reasons"] for state in standing(args) if state.gate is not None}
    (args.work / "verdicts.json").write_text(json.dumps(verdicts))


def standing(args: argparse.Namespace) -> list[Any]:
    """The states of the run's samples."""
    from leicos_jobs.run.opened import open_run
    from leicos_jobs.run.results import Results

    return Results(open_run(str(args.work / "run"))).samples_standing.states


def publish(args: argparse.Namespace) -> None:
    """Keep figures, curves, sample videos, and as many of the videos as fit."""
    if args.out is None:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    run_folder = args.work / "run"
    for path in (args.work / name for name in KEPT):
        if path.is_file():
            shutil.copyfile(path, args.out / path.name)
    previews = sorted(run_folder.glob("cosmos/checkpoint/*/held_out/*"))
    videos = sorted(run_folder.glob("generate/*/*.mp4"))
    for name, files in (("training.tar", previews), ("videos.tar", videos)):
        if files:
            _pack(args.out / name, files)


def _pack(path: Path, files: list[Path]) -> None:
    room = OUT_BYTES
    with tarfile.open(path, "w") as archive:
        for file in files:
            room -= file.stat().st_size + 1024
            if room < 0:
                break
            archive.add(file, f"{file.parent.name}-{file.name}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="kept between calls")
    parser.add_argument("--out", type=Path, help="folder for figures and videos")
    parser.add_argument("--minutes", type=float, help="stop after so many; call again to go on")
    parser.add_argument("--leave-running", action="store_true", help="at that time, let the run go on by itself")
    parser.add_argument("--scale", choices=["small", "tiny"], default="small")
    parser.add_argument("--demos", type=int, help="successful ones; a quarter is held out (default 400, tiny 4)")
    parser.add_argument("--videos", type=int, help="from starts of held-out demos (default 200, tiny 4)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--sampling-steps", type=int, default=35)
    parser.add_argument("--train-minutes", type=float, default=6.0, help="of the denoiser")
    parser.add_argument("--autoencoder-minutes", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=4, help="pods at a time")
    args = parser.parse_args()
    tiny = args.scale == "tiny"
    args.demos = args.demos or (4 if tiny else 400)
    args.videos = args.videos or (4 if tiny else 200)
    args.work = args.work.absolute()
    from leicos_jobs.core.cores import available_cores

    args.cores = available_cores()
    return args


def main() -> int:
    args = parsed()
    clock = Clock(args.minutes)
    args.work.mkdir(parents=True, exist_ok=True)
    code = 0
    try:
        prepare(args, clock)
        if not (args.work / "gated.yaml").is_file():
            run(args, clock, amend=False)
            keep_ungated(args)
            clock.say(json.dumps(table(args)))
        if not (args.work / "verdicts.json").is_file():
            note_verdicts(args, clock)
    except TimeOverError:
        clock.say("the time is over: call again to go on")
        code = 75
    result = {"benchmark": "learned", "scale": args.scale, "complete": code == 0}
    if (args.work / "run/run.json").is_file():
        result |= table(args)
    publish(args)
    text = json.dumps(result, indent=1)
    if args.out is not None:
        (args.out / "learned.json").write_text(text)
    print(text, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
