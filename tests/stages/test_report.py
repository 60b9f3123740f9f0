"""The report of a real small run: no script, every picture there, every sample named, single.html stands alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from helpers.command_line import leicos

from leicos_jobs.formats.action_tables import read_table
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.probe import probe
from leicos_jobs.run.commits import StageRecord
from leicos_jobs.run.config import parse_config
from leicos_jobs.run.opened import create_run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.stages import report

pytestmark = pytest.mark.xdist_group("small-run")
SECTIONS = (
    "What was made", "Checks", "Generated beside replayed", "Replay", "Label error", "Coverage", "Learning curves",
    "Gate", "Recorded demos", "Generated videos", "Reconstructed state", "Cost and time", "Configuration and versions",
    "Samples",
)  # fmt: skip
CONTROLS = ("truth", "truth_resampled", "other_demo", "shuffled")


def test_the_page_is_static_and_whole(undisturbed: Path) -> None:
    folder = undisturbed / "report/latest"
    page = (folder / "index.html").read_text()
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == list(SECTIONS)
    assert "<script" not in page
    assert "data:" not in page, "the Argo UI does not show data: URIs"
    pictures = re.findall(r'src="([^"]+)"', page)
    assert {"demos.png", "generated.png", "success.png", "errors_held_out_demos.png", "gate.png"} <= set(pictures)
    for name in (*pictures, *re.findall(r'href="([^#"][^"]*)"', page)):
        assert (folder / name).is_file(), name


def test_every_sample_is_there_with_its_lineage(undisturbed: Path) -> None:
    page = (undisturbed / "report/latest/index.html").read_text()
    for line in (undisturbed / "plan/latest/samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        row = re.search(rf"<tr><td><code>{sample['id'][:10]}</code>.*?</tr>", page)
        assert row, sample["id"]
        assert f"<code>{sample['demo_sha256'][:12]}</code> {sample['demo']}</td>" in row.group()
        assert f'<td class="n">{sample["seed"]}</td>' in row.group()


def test_single_html_needs_no_other_file(undisturbed: Path) -> None:
    page = (undisturbed / "report/latest/single.html").read_text()
    assert "<script" not in page
    sources = re.findall(r'src="([^"]{1,40})', page)
    assert sources
    assert {source.partition(";")[0] for source in sources} == {"data:image/png", "data:video/mp4"}
    assert not re.findall(r'href="(?!https?:|#)', page), "a link that leads nowhere from a mail"


def test_the_first_screen_says_where_the_dataset_is_and_what_loads_it(undisturbed: Path) -> None:
    page = (undisturbed / "report/latest/index.html").read_text()
    first = page[: page.index("<h2>Checks")]
    folder = (undisturbed / "synthetic/latest").resolve()
    assert first.index('class="verdict') < first.index("What was made") < first.index(f"<pre>{folder}</pre>")
    for line in ("LeRobotDataset(", "LeRobotSingleDataset(", "leicos to-lerobot", "leicos merge", "leicos to-leisaac"):
        assert line in first, line
    assert "dollars" not in first, "nothing is rented for a run in a folder"
    assert "leicos 0." in page[page.index("Configuration and versions") :]


def test_generated_videos_stand_beside_their_replay(undisturbed: Path) -> None:
    folder = undisturbed / "report/latest"
    shown = re.findall(r'<video[^>]* src="(beside_[0-9a-f]{8}\.mp4)"', (folder / "index.html").read_text())
    assert len(shown) == 3
    for name in shown:
        both = probe(folder / name)
        assert both.width > 2 * 128
        assert (both.height, both.frames) == (96, 24)
        last = read_all(folder / name)[-1].astype(int)
        halves = last[:, :128], last[:, -128:]
        assert all(half.std() > 10 for half in halves), "a picture at each side"
        assert abs(halves[0] - halves[1]).mean() > 1, "and not twice the same"


def test_the_last_words_of_a_local_run_name_no_price(undisturbed: Path) -> None:
    said = undisturbed.with_suffix(".log").read_text().rpartition("Succeeded")[2]
    found = re.search(r"([\d.]+) minutes of CPU time in ([\d.]+) minutes on this machine", said)
    assert found, said
    assert 0 < float(found[1]) <= 1.1 * float(found[2]) * (os.cpu_count() or 1) + 0.1
    assert "dollars" not in said
    assert "GPU" not in said


def test_all_controls_are_in_the_score(undisturbed: Path) -> None:
    numbers = json.loads((undisturbed / "report/latest/score.json").read_text())
    count = numbers["replay"]["all"]["labels"]["count"]
    assert count
    for group in CONTROLS:
        assert numbers["replay"]["all"][group]["count"] == count, group
    for group in ("demo", "demo_resampled", "idm_on_real"):
        assert numbers["replay"][group]["count"], group


def test_a_runs_dataset_is_exported_by_the_runs_name(undisturbed: Path, tmp_path: Path) -> None:
    assert leicos("to-lerobot", undisturbed, "--format", "v3.0", "--out", tmp_path / "v30").returncode == 0
    frames = [
        json.loads((folder / "meta/info.json").read_text())["total_frames"]
        for folder in (tmp_path / "v30", undisturbed / "synthetic/latest")
    ]
    assert frames[0] == frames[1] > 0


def test_the_report_reads_of_train_idm_what_its_record_says(undisturbed: Path) -> None:
    record = Results(open_run(str(undisturbed))).needed("train-idm")
    facts = record.facts
    numbers = json.loads((undisturbed / "report/latest/score.json").read_text())
    page = (undisturbed / "report/latest/index.html").read_text()
    assert facts["train"]
    assert facts["held_out"]
    labelled = {
        read_table(undisturbed / record.path(name))[1]["episode"]
        for name in record.files
        if name.startswith("held_out/")
    }
    assert labelled == set(facts["held_out"])
    assert numbers["idm"]["held_out_demos"]["episodes"] == len(facts["held_out"])
    assert f"fitted on {len(facts['train'])} training demos" in page
    assert f"<code>{facts['artifact'][:12]}</code>" in page
    # what the trainer said is there too, and nothing of it was judged twice
    assert {"losses", "samples", "frames", "window"} <= set(facts)
    assert set(facts["seconds"]) == {"read", "encoder", "head"}


def test_the_copy_for_argo_is_made_where_its_bucket_is_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse_config("{source: {files: [a], task: Lift.}}", "test")
    run = create_run(str(tmp_path / "run"), config, known={"a": "sha256:0"})
    run.store.put("report/made/index.html", b"page")
    files = {"index.html": hashlib.sha256(b"page").hexdigest()}
    record = StageRecord(stage="report", key="k", folder="report/made", files=files)
    monkeypatch.setenv(report.REPORT_DIRECTORY, str(tmp_path / "copy"))
    monkeypatch.setenv(report.ARTIFACT_BUCKET, "robots")
    report.export(run, record)
    assert not (tmp_path / "copy").exists()
    monkeypatch.delenv(report.ARTIFACT_BUCKET)
    report.export(run, record)
    assert (tmp_path / "copy/index.html").read_bytes() == b"page"
