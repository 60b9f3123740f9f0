"""Mislabelling planted in the files of a finished run, records and all, so that the system believes it: the report's
named check turns red. The small run's IDM is hardly trained, so honest labels are planted first, and all is green."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.command_line import leicos
from helpers.identity import environment
from helpers.plots import SPARE
from pydantic import BaseModel

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core import stages
from leicos_jobs.core.digests import sha256_file
from leicos_jobs.formats.action_tables import read_table, write_table
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.remux import restamp
from leicos_jobs.run import layout, sealed
from leicos_jobs.run.commits import Record, StageRecord
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results, read_states
from leicos_jobs.run.starts import Start

pytestmark = pytest.mark.xdist_group("small-run")
Model = TypeVar("Model", bound=BaseModel)
Labels = dict[str, np.ndarray]
"""By sample, or `held_out/EPISODE` for the real video of a demo that the IDM never saw; (rows, 6) motor units."""


def records(root: Path, pattern: str, model: type[Model]) -> dict[Path, Model]:
    """Records of a run's folder by their paths."""
    return {path: sealed.load(model, path.read_bytes(), str(path), "") for path in sorted(root.glob(pattern))}


def edit(path: Path, record: BaseModel, **changes: object) -> None:
    """Write a record with other contents, as one who means them."""
    path.write_bytes(sealed.dump(record.model_copy(update=changes)))


def read_labels(root: Path) -> Labels:
    found = {}
    for record in records(root, "label/*/*.json", Record).values():
        found[record.sample] = read_table(root / str(record.object))[0]["action"]
    for path in (root / "idm/latest/held_out").iterdir():
        columns, meta = read_table(path)
        found[f"held_out/{meta['episode']}"] = columns["action"]
    return found


def plant(root: Path, labels: Labels) -> None:
    """Write other labels, and the records that make them count."""
    for path, record in records(root, "label/*/*.json", Record).items():
        old = root / str(record.object)
        written = old.with_suffix(".new")
        write_table(written, {"action": labels[record.sample]}, read_table(old)[1])
        digest = sha256_file(written)
        name = layout.sample_object("label", record.sample, digest, ".parquet")
        old.unlink()
        written.rename(root / name)
        edit(path, record, object=name, sha256=digest, size=(root / name).stat().st_size)
    ((path, trained),) = records(root, "records/train-idm/*.json", StageRecord).items()
    files = dict(trained.files)
    for table in (root / trained.folder / "held_out").iterdir():
        meta = read_table(table)[1]
        write_table(table, {"action": labels[f"held_out/{meta['episode']}"]}, meta)
        files[f"held_out/{table.name}"] = sha256_file(table)
    edit(path, trained, files=files)
    believe(root)


def believe(root: Path) -> None:
    """Put what was made of the honest files under the keys that the planted ones demand, as if it came of them."""
    run = open_run(str(root))
    for stage in stages.SAMPLE:
        former = {record.sample: record for record in records(root, f"{stage}/*/*.json", Record).values()}
        for state in read_states(run, Results(run).samples(), stage):
            if state.pending(stage):
                run.commits.commit(former[state.sample.id].model_copy(update={"key": state.keys[stage]}))
    for stage in ("curate", "assemble"):
        if Results(run).current(stage) is None:
            old = next(iter(records(root, f"records/{stage}/*.json", StageRecord).values()))
            run.commits.commit_whole(old.model_copy(update={"key": str(Results(run).key(stage))}))


def swap_files(root: Path) -> None:
    """Two samples' records point to each other's table of labels."""
    (one, first), (other, second) = list(records(root, "label/*/*.json", Record).items())[:2]
    edit(one, first, object=second.object, sha256=second.sha256, size=second.size)
    edit(other, second, object=first.object, sha256=first.sha256, size=first.size)
    believe(root)


def judge(root: Path) -> set[str]:
    """Run the report again; the names of its red checks, which must be on its page, too."""
    shutil.rmtree(root / "records/report")
    done = leicos("report", "--run", root, env=environment(SPARE))
    assert done.returncode == 0, done.stderr
    score = json.loads((root / "report/latest/score.json").read_text())
    red = {item["name"] for item in score["checks"] if not item["passed"]}
    (record,) = records(root, "records/report/*.json", StageRecord).values()
    assert set(record.facts["failed_checks"]) == red
    page = html.unescape((root / "report/latest/index.html").read_text())
    assert all(item["name"] in page and item["text"] in page for item in score["checks"])
    return red


def honest_labels(root: Path) -> Labels:
    """What was really commanded, with a slowly varying error of about a degree, as a good IDM makes it."""
    found = {}
    for number, name in enumerate(sorted(read_labels(root))):
        if name.startswith("held_out/"):
            table = pq.read_table(root / f"dataset/latest/data/chunk-000/episode_{int(name[9:]):06d}.parquet")
            true = np.array(table.column("action").to_pylist(), dtype=np.float32)
        else:
            (path,) = root.glob(f"truth/{name}/*.parquet")
            true = read_table(path)[0]["action"]
        noise = np.random.default_rng(number).normal(0, 1, (len(true) // 14 + 3, 6))
        drift = [np.interp(np.arange(len(true)), np.arange(len(noise)) * 14, noise[:, joint]) for joint in range(6)]
        found[name] = (true + np.stack(drift, axis=1)).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def honest(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of the small run with honest labels."""
    root = tmp_path_factory.mktemp("planted") / "honest"
    shutil.copytree(undisturbed, root, symlinks=True, ignore=shutil.ignore_patterns("logs"))
    plant(root, honest_labels(root))
    return root


def late(labels: Labels, root: Path) -> Labels:
    return {name: np.concatenate([rows[:1], rows[:-1]]) for name, rows in labels.items()}


def swapped(labels: Labels, root: Path) -> Labels:
    """As a labeller that mixes up a batch: the right tables, the wrong rows in them."""
    one, other = sorted(name for name in labels if not name.startswith("held_out/"))[:2]
    return labels | {one: labels[other], other: labels[one]}


def degrees(labels: Labels, root: Path) -> Labels:
    return {name: np.rad2deg(SO101.action.to_recorded(rows)).astype(np.float32) for name, rows in labels.items()}


def gripper_inverted(labels: Labels, root: Path) -> Labels:
    return {name: np.concatenate([rows[:, :5], 100 - rows[:, 5:]], axis=1) for name, rows in labels.items()}


def two_late(labels: Labels, root: Path) -> Labels:
    """One stride, where rows of the recording are taken for rows of the dataset."""
    return late(late(labels, root), root)


def scrambled(labels: Labels, root: Path) -> Labels:
    """As upstream's thread pool does: rows change places within windows of 16."""
    found = {}
    for seed, (name, rows) in enumerate(sorted(labels.items())):
        starts = range(0, len(rows), 16)
        order = [start + np.random.default_rng([seed, start]).permutation(len(rows[start:][:16])) for start in starts]
        found[name] = rows[np.concatenate(order)]
    return found


def wrong_stats(labels: Labels, root: Path) -> Labels:
    """Normalised by the dataset's own stats.json, un-normalised by that of upstream's SO-100 model, in degrees."""
    ours = json.loads((root / "dataset/latest/meta/stats.json").read_text())["action"]
    low, high = np.array([38.8, 37.7, 20.9, -7.2, -167.0, -7.3]), np.array([207.2, 194.6, 175.0, 115.9, 62.8, 58.7])
    span = np.maximum(np.subtract(ours["max"], ours["min"]), 1e-6)
    return {
        name: ((rows - ours["min"]) / span * (high - low) + low).astype(np.float32) for name, rows in labels.items()
    }


PLANTED: dict[str, tuple[Callable[[Labels, Path], Labels], set[str]]] = {
    "one frame late": (late, {"alignment", "alignment-generated"}),
    "one stride late": (two_late, {"alignment", "alignment-generated"}),
    "order scrambled inside a window": (scrambled, {"smoothness"}),
    "two samples' labels swapped": (swapped, {"own-truth"}),
    "degrees for motor units": (degrees, {"units"}),
    "gripper inverted": (gripper_inverted, {"units"}),
    "wrong stats.json": (wrong_stats, {"beats-first-row", "beats-mean-action"}),
}


def test_honest_labels_leave_the_report_green(honest: Path) -> None:
    assert judge(honest) == set()


@pytest.mark.parametrize("name", PLANTED)
def test_an_error_in_the_files_turns_the_reports_check_red(name: str, honest: Path, tmp_path: Path) -> None:
    change, checks = PLANTED[name]
    root = shutil.copytree(honest, tmp_path / "run", symlinks=True)
    plant(root, change(read_labels(root), root))
    red = judge(root)
    assert checks <= red, red


def test_videos_stamped_with_a_nominal_16_fps_turn_the_time_base_red(honest: Path, tmp_path: Path) -> None:
    """Records and labels believe the new file, as they would if verification had let it through."""
    root = shutil.copytree(honest, tmp_path / "run", symlinks=True)
    made, record = next(iter(records(root, "generate/*/*.json", Record).items()))
    old, stamped = root / str(record.object), tmp_path / "stamped.mp4"
    restamp(old, stamped, 16)
    digest = sha256_file(stamped)
    name = layout.sample_object("generate", record.sample, digest, ".mp4")
    shutil.move(stamped, root / name)
    facts = {key: value for key, value in record.facts.items() if key != "truth"}  # that is of the other video
    edit(made, record, object=name, sha256=digest, size=(root / name).stat().st_size, facts=facts)
    believe(root)
    assert "time-base" in judge(root)


def test_a_clip_of_the_demos_end_turns_its_check_red(honest: Path, tmp_path: Path) -> None:
    """As the tutorial's helper makes it: the generator would go on from where the demo ended."""
    root = shutil.copytree(honest, tmp_path / "run", symlinks=True)
    sample = json.loads((root / "plan/latest/samples.jsonl").read_text().splitlines()[0])
    (demo,) = (root / "dataset/latest").glob(f"videos/**/episode_{sample['episode']:06d}.mp4")
    clip = tmp_path / "clip.mp4"
    write_video(clip, read_all(demo)[-5:], 30, crf=8, gop=1)
    digest = sha256_file(clip)
    shutil.move(clip, root / layout.clip(sample["start"], digest))
    ((path, start),) = records(root, layout.start(sample["start"]), Start).items()
    edit(path, start, clip_sha256=digest)
    assert "clip-is-row0" in judge(root)


def test_swapped_files_turn_ownership_red(honest: Path, tmp_path: Path) -> None:
    root = shutil.copytree(honest, tmp_path / "run", symlinks=True)
    swap_files(root)
    assert "ownership" in judge(root)
