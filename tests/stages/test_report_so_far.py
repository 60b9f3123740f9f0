"""The report of a run that has failed or is still at work: what is there, why, and how to go on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from leicos_jobs.run.config import parse_config
from leicos_jobs.run.opened import create_run, open_run
from leicos_jobs.run.summary import summary
from leicos_jobs.stages import finish
from leicos_jobs.stages.report import so_far

pytestmark = pytest.mark.xdist_group("small-run")


@pytest.fixture
def begun(tmp_path: Path) -> str:
    """Root of a run that has come to nothing yet."""
    config = parse_config("{source: {files: [a], task: Lift.}}", "test")
    return create_run(str(tmp_path / "run"), config, known={"a": "sha256:0"}).store.uri


def test_a_failed_run_has_a_report_that_says_why(begun: str, capsys: pytest.CaptureFixture[str]) -> None:
    failures = '"[{\\"templateName\\": \\"convert\\", \\"message\\": \\"<script>no demo</script>\\"}]"'
    finish.finish(begun, "Failed", failures=failures)
    page = (Path(begun) / "report/so-far/index.html").read_text()
    assert "This run has failed" in page
    assert "<script>" not in page
    assert "&lt;script&gt;no demo" in page
    assert f"leicos run --out {begun}" in page
    assert "report/so-far/index.html" in capsys.readouterr().out
    assert f"report so far: {begun}/report/so-far/index.html" in summary(open_run(begun), "Failed")


def test_a_run_at_work_says_so_and_shows_no_failure(begun: str) -> None:
    page = Path(so_far(open_run(begun))).read_text()
    assert "This run is not finished" in page
    assert "has failed" not in page
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == ["How far it is", "Configuration and versions"]


def test_what_is_there_is_shown_and_nothing_of_an_earlier_look(undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    for stage in ("curate", "assemble", "report"):
        shutil.rmtree(root / "records" / stage)
    folder = root / "report/so-far"
    folder.mkdir()
    (folder / "old.png").write_bytes(b"of an earlier look")
    page = Path(so_far(open_run(str(root)))).read_text()
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert {"How far it is", "Checks", "Generated videos", "Label error", "Learning curves", "Samples"} <= set(heads)
    assert "What was made" not in heads
    assert not (folder / "old.png").exists()
    for name in re.findall(r'src="([^"]+)"', page):
        assert (folder / name).is_file(), name
