"""Scoring: how good the labels are, against truth where a generator knows it. The only reader of truth beside controls.

Replay is judged over all labelled samples, before curation, none filtered by its true outcome.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leicos_jobs.backends.requests import ReplayMetrics
from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.formats.lerobot_read import Dataset
from leicos_jobs.judge import checks, gate_limits, metrics, times
from leicos_jobs.judge.proof import judge_held_out, label_checks
from leicos_jobs.judge.truth import DEMO_GROUPS, SAMPLE_GROUPS, held_out_labels, read_truth
from leicos_jobs.media.decode import read_all, read_frames
from leicos_jobs.media.probe import probe
from leicos_jobs.run import episodes, failures, layout, starts
from leicos_jobs.run.chain import State
from leicos_jobs.run.opened import Run
from leicos_jobs.run.results import Results, fetch_folder

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

VIDEOS_CHECKED = 128
"""Generated videos whose frame rate is looked at."""
CLIPS_CHECKED = 64
"""Different starts whose clip and state are compared with the dataset."""

Controls = dict[str, dict[str, ReplayMetrics]]
"""Group of controls -> sample or episode -> what its replay measured."""


@dataclass
class Scored:
    """One sample, with what scoring knows of it. `labels` and `truth`: (frames, width) float32 motor units."""

    state: State
    quarantined: failures.Failure | None = None
    labels: F32 | None = None
    seen: str | None = None
    """Digest of the video that the labels were made from, as their table says."""
    truth: F32 | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """The generator's truth facts: success, planned_failure, defect."""

    @property
    def success(self) -> bool | None:
        """Whether the labels succeed in replay; None if it is not known."""
        metrics = self.state.metrics
        return metrics.success if metrics else None


@dataclass
class Score:
    """Everything the report shows. `numbers` goes to report/score.json."""

    samples: list[Scored]
    controls: Controls
    numbers: dict[str, Any]
    actions: dict[int, F32] = field(default_factory=dict)
    """(rows, width) motor units of the real demos, by episode."""


def collect(results: Results, read_at_most: int | None = None) -> Score:
    """Read a run and score it, as far as it has come. read_at_most: read the labels of about so many samples."""
    run = results.run
    planned, converted = results.current("plan") is not None, results.current("convert") is not None
    states = results.samples_standing.states if planned else []
    samples = [Scored(state, results.samples_standing.quarantined.get(state.sample.id)) for state in states]
    step = max(1, len(samples) // (read_at_most or len(samples) or 1))
    with tempfile.TemporaryDirectory(prefix="leicos-") as name:
        scratch = Path(name)
        for item in samples[::step]:
            _read(run, item, scratch)
        actions: dict[int, F32] = {}
        starts: tuple[list[tuple[U8, U8]], list[tuple[F32, F32]]] = ([], [])
        if converted:
            dataset = Dataset(fetch_folder(run, results.needed("convert"), scratch))
            actions = {episode.index: episode.actions for episode in dataset.episodes()}
            starts = _starts(run, samples, dataset, scratch)
        real = held_out_labels(results, scratch) if results.current("train-idm") else {}
        rates = _rates(run, samples, scratch)
    controls = read_controls(results)
    timings = list(times.counted(results, results.all_states if planned else []))
    scores = gate_limits.gate_scores(results, [item.state for item in samples]) if converted and planned else {}
    numbers: dict[str, Any] = {
        "idm": _idm(run, samples, actions, real) if converted else {},
        "replay": replay_table(samples, controls) | {"controls": controls_table(results)},
        "gate": gate_table(samples) | {"scores": scores},
        "no_replay": dict(Counter(item.state.no_replay for item in samples if item.state.no_replay)),
        "stages": times.by_stage(timings),
        "pod_hours": times.pod_hours(timings),
        "wall_seconds": times.wall_seconds(timings),
    }
    verdicts = _checks(run, samples, numbers["idm"], controls, (actions, real), starts)
    if rates:
        verdicts.append(checks.time_base(rates, episodes.read(run)[0].fps))
    numbers["checks"] = [{"name": item.name, "passed": item.passed, "text": item.shown} for item in verdicts]
    return Score(samples, controls, numbers, actions)


def _starts(
    run: Run, samples: Sequence[Scored], dataset: Dataset, scratch: Path
) -> tuple[list[tuple[U8, U8]], list[tuple[F32, F32]]]:
    """What `checks.conditioning` compares, for up to CLIPS_CHECKED different starts."""
    items = {item.episode_index: item for item in episodes.read(run)}
    robot, camera = run.robot, run.config.source.camera
    chosen = list({item.state.sample.start: item.state.sample for item in samples}.values())[:CLIPS_CHECKED]
    pairs, joints = [], []
    for sample in chosen:
        first = items[sample.episode].frame(sample.row0)
        start = starts.read(run, sample.start)
        clip = read_all(starts.fetch_clip(run, start, scratch))
        shown = islice(read_frames(dataset.video_path(sample.episode, camera)), first, first + len(clip))
        pairs.append((clip, np.stack(list(shown))))
        seen = robot.state.to_recorded(dataset.episode(sample.episode).states[first])
        joints.append((starts.joints(start, robot), seen))
    return pairs, joints


def _rates(run: Run, samples: Sequence[Scored], scratch: Path) -> dict[str, float]:
    """Frames per second of up to VIDEOS_CHECKED generated videos: what their streams say, whatever their records do."""
    made = [item.state for item in samples if item.state.generate is not None]
    step = max(1, len(made) // VIDEOS_CHECKED)
    found = {}
    for state in made[::step][:VIDEOS_CHECKED]:
        if state.generate is not None:
            video = run.commits.fetch(state.generate, scratch)
            found[state.sample.id] = float(probe(video).fps)
            run.store.release(video)
    return found


def _checks(
    run: Run,
    samples: Sequence[Scored],
    idm: dict[str, Any],
    controls: Controls,
    known: tuple[dict[int, F32], dict[int, F32]],
    starts: tuple[list[tuple[U8, U8]], list[tuple[F32, F32]]],
) -> list[checks.Check]:
    """All checks that the run has data for."""
    actions, real = known
    found = checks.conditioning(*starts) if starts[0] else []
    if real:
        found += label_checks(run.robot, actions, real, idm["held_out_demos"])
    truth = {
        item.state.sample.id: (item.labels, item.truth)
        for item in samples
        if item.labels is not None and item.truth is not None
    }
    if truth:
        verdict = checks.alignment([label for label, _ in truth.values()], [true for _, true in truth.values()])
        found.append(checks.Check("alignment-generated", verdict.passed, verdict.text))
        found.append(checks.own_truth(*({name: pair[side] for name, pair in truth.items()} for side in (0, 1))))
    if outcomes(controls["demo"]):
        found += checks.reproduction(controls)
    again = outcomes(controls["truth"])
    pairs = [
        (bool(item.facts["success"]), again[item.state.sample.id])
        for item in samples
        if "success" in item.facts and item.state.sample.id in again
    ]
    if pairs:
        found.append(checks.truth_reproduction(pairs))
    videos = [(item.state.sample.id, item.state.generate, item.seen) for item in samples]
    if owned := [(name, video.sha256, seen) for name, video, seen in videos if video is not None and seen]:
        found.append(checks.ownership(owned))
    return found


def _read(run: Run, item: Scored, scratch: Path) -> None:
    if item.state.label is not None:
        columns, meta = read_table(run.commits.fetch(item.state.label, scratch))
        item.labels, item.seen = columns["action"], meta["video"]
    known = read_truth(run, item.state, scratch)
    if known is not None:
        item.truth, item.facts = known[0].get("action"), known[1]
    elif item.quarantined is not None and item.quarantined.stage == "generate":
        for key in run.store.list(layout.truths(item.state.sample.id)):
            item.facts = read_table(run.store.fetch(key, scratch))[1]["facts"]


def read_controls(results: Results) -> Controls:
    """What the drawn samples' records and the replays of demos say; empty groups before. Raises DamageError."""
    record = results.current("replay-demos")
    data = json.loads(results.run.commits.read_file(record, layout.CONTROLS)) if record else {}
    states = results.controls_standing.states if results.current("plan") else []
    of_samples = {state.sample.id: state.controls for state in states}
    return {
        group: {name: groups[group] for name, groups in of_samples.items() if group in groups}
        for group in SAMPLE_GROUPS
    } | {
        group: {item["name"]: ReplayMetrics.model_validate(item["metrics"]) for item in data.get(group, [])}
        for group in DEMO_GROUPS
    }


def controls_table(results: Results) -> dict[str, int]:
    """How many labelled samples can be replayed, how many of them were drawn for controls, and what became of those."""
    if results.current("plan") is None:
        return {"labelled": 0, "drawn": 0, "controlled": 0, "quarantined": 0}
    drawn = results.controls_standing
    return {
        "labelled": sum(state.replayable for state in results.samples_standing.states),
        "drawn": len(drawn.states),
        "controlled": sum("controls" in state.records for state in drawn.states),
        "quarantined": len(drawn.quarantined),
    }


def _idm(run: Run, samples: Sequence[Scored], actions: dict[int, F32], real: dict[int, F32]) -> dict[str, Any]:
    """Label errors on the held-out demos' real videos, and on generated videos where the truth is known."""
    robot = run.robot.action
    items = {item.episode_index: item for item in episodes.read(run)}
    sides = episodes.split(list(items.values()), run.config)
    training = [actions[index] for index, side in sides.items() if side == "train"]
    common = (training, robot.degrees_per_unit(), robot.motor_limits())
    found: dict[str, Any] = {"joints": robot.names}
    if real:
        found["held_out_demos"] = judge_held_out(run, actions, real)
    known = [item for item in samples if item.labels is not None and item.truth is not None]
    for name, wanted in (("generated", ("train", "held_out")), ("generated_held_out", ("held_out",))):
        chosen = [item for item in known if item.state.sample.split in wanted]
        if chosen:
            first = [items[item.state.sample.episode].frame(item.state.sample.row0) for item in chosen]
            labels = [item.labels for item in chosen if item.labels is not None]
            truths = [item.truth for item in chosen if item.truth is not None]
            found[name] = metrics.judge(labels, truths, *common, first_rows=first)
    return found


def replay_table(samples: Sequence[Scored], controls: Controls) -> dict[str, Any]:
    """Success of labels beside ceilings and floors, agreement of outcomes; all samples, and held-out ones alone."""
    table: dict[str, Any] = {}
    for name, wanted in (("all", ("train", "held_out")), ("held_out", ("held_out",))):
        chosen = [item for item in samples if item.success is not None and item.state.sample.split in wanted]
        outcome = {item.state.sample.id: bool(item.success) for item in chosen}
        part: dict[str, Any] = {"labels": rate(list(outcome.values()))}
        for group in SAMPLE_GROUPS:
            known = {key: value for key, value in outcomes(controls[group]).items() if key in outcome}
            if known:
                part[group] = rate(list(known.values()))
                if group.startswith("truth"):
                    part[f"agreement_{group}"] = rate([outcome[key] == value for key, value in known.items()])
        ceiling = next((group for group in ("truth", "truth_resampled") if group in part), None)
        if ceiling is not None:
            part["ceiling"] = ceiling
            if part[ceiling]["successes"]:  # of the same samples: not all are controlled
                hits = sum(outcome[key] for key in outcomes(controls[ceiling]) if key in outcome)
                part["of_ceiling"] = hits / part[ceiling]["successes"]
        table[name] = part
    for group in DEMO_GROUPS:
        if known := outcomes(controls[group]):
            table[group] = rate(list(known.values()))
    table["tracking_error_deg"] = tracking(samples, controls)
    if engines := engine_table(samples):
        table["engines"] = engines
    return table


def engine_table(samples: Sequence[Scored]) -> dict[str, Any]:
    """Where several engines judged the labels: how many succeed by each, and what each said of those on which they
    disagree. Empty where one judged."""
    said = {
        item.state.sample.id: {name: one["success"] for name, one in metrics.engines.items()}
        for item in samples
        if (metrics := item.state.metrics) is not None and metrics.engines
    }
    if not said:
        return {}
    names = list(next(iter(said.values())))
    return {
        "labels": {name: rate([bool(verdicts[name]) for verdicts in said.values()]) for name in names},
        "disagree": {sample: verdicts for sample, verdicts in said.items() if len(set(verdicts.values())) > 1},
    }


def tracking(samples: Sequence[Scored], controls: Controls) -> dict[str, float]:
    """Mean error in degrees of the simulated arm against its targets: labels, and each control."""
    groups = {name: list(replays.values()) for name, replays in controls.items()}
    groups["labels"] = [metrics for item in samples if (metrics := item.state.metrics) is not None]
    errors = {name: [metrics.tracking_error_deg for metrics in replays] for name, replays in groups.items()}
    return {name: float(np.mean(values)) for name, values in errors.items() if values}


def outcomes(group: Mapping[str, ReplayMetrics]) -> dict[str, bool]:
    """Name -> success of the control's replays that know it."""
    return {name: item.success for name, item in group.items() if item.success is not None}


def rate(outcomes: Sequence[bool]) -> dict[str, Any]:
    """Count, successes, share, and the Wilson 95 % interval (E. B. Wilson, JASA 22, 1927)."""
    count, hits, z = len(outcomes), sum(outcomes), 1.959964
    if not count:
        return {"count": 0, "successes": 0, "share": None, "low": None, "high": None}
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = max(0.0, min(share, middle - spread)), min(1.0, max(share, middle + spread))
    return {"count": count, "successes": hits, "share": share, "low": low, "high": high}


def gate_table(samples: Sequence[Scored]) -> dict[str, Any]:
    """Hits and false alarms on defects that the generator planted. `quarantined`: verification refused the video before
    the gate saw it."""
    planted: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    judged = 0
    for item in samples:
        gate = item.state.gate
        if gate is None:
            if item.facts and item.quarantined is not None and item.quarantined.stage == "generate":
                planted[item.facts.get("defect") or "none"]["quarantined"] += 1
            continue
        judged += 1
        refused = not gate.facts["passed"]
        reasons.update(gate.facts["reasons"])
        if item.facts:
            planted[item.facts.get("defect") or "none"]["refused" if refused else "passed"] += 1
    unreadable = sum(item.quarantined is not None and item.quarantined.stage == "generate" for item in samples)
    return {
        "judged": judged,
        "reasons": dict(reasons),
        "planted": {name: dict(counts) for name, counts in sorted(planted.items())},
        "refused_before_gate": unreadable,
    }


def optional(results: Results, stage: str) -> dict[str, Any]:
    """Facts of a stage that may not have run."""
    record = results.current(stage)
    return dict(record.facts) if record else {}
