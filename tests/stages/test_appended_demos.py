"""Demos appended to a recording, in a whole run: every old id stays, and nothing is generated again."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import h5py
import yaml
from helpers.identity import SIZE, check_dataset, environment, forking_leicos, only_folder, write_config
from helpers.leisaac import DemoSpec, write_demo
from helpers.plots import SPARE

BEFORE, MORE = 10, 10
SAMPLES, ALL_SAMPLES = 10, 30


def run(config: Path, root: Path, *more: str) -> str:
    command = forking_leicos("run", str(config), "--out", str(root), "--workers", "2", *more)
    done = subprocess.run(command, env=environment(SPARE), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr + done.stdout


def made(root: Path) -> dict[str, tuple[bytes, int]]:
    """Path of every generated video, its record and its start -> bytes and time of the last change."""
    found = [path for place in ("generate", "starts") for path in sorted((root / place).rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def planned(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "samples.jsonl").read_text().splitlines()
    return {item["id"]: item for item in map(json.loads, lines)}


def test_ten_demos_appended_to_ten_change_no_id_and_no_video(tmp_path: Path) -> None:
    config, root = write_config(tmp_path, demos=BEFORE, samples=SAMPLES), tmp_path / "run"
    run(config, root)
    old, before = planned(only_folder(root / "plan")), made(root)
    assert len(old) == SAMPLES

    with h5py.File(tmp_path / "demos.hdf5", "r+") as file:
        for number in range(BEFORE, BEFORE + MORE):
            write_demo(file["data"].create_group(f"demo_{number}"), number, DemoSpec(rows=60 + 4 * number, size=SIZE))
    larger = yaml.safe_load(config.read_text())
    larger["plan"]["samples"] = ALL_SAMPLES
    config.write_text(yaml.safe_dump(larger))
    said = run(config, root, "--amend")

    assert f"0 of {SAMPLES} videos become stale" in said
    new = planned(root / "plan/latest")
    assert len(new) == ALL_SAMPLES
    assert {identity: new.get(identity) for identity in old} == old
    after = made(root)
    assert {path: after[path] for path in before} == before
    assert {path.split("/")[1] for path in after if path.startswith("generate/")} == set(new)
    logs = [path.read_text() for path in root.glob("logs/*/*.generate(*.log")]
    begun = [sample for text in logs for sample in re.findall(r"backend\.started sample=(\w+)", text)]
    assert sorted(begun) == sorted(new), "a video was generated twice"
    shown = tmp_path / "shown"
    shown.mkdir()
    for place in ("plan", "synthetic"):
        (shown / place).mkdir()
        (root / place / "latest").resolve().rename(shown / place / "latest")
    check_dataset(shown, ALL_SAMPLES)
