"""The documentation: no dead link in its site, configurations that start takes, command blocks that are known."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest
from helpers import pages

from leicos_jobs.cli.main import COMMANDS
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import parse_config

DOCS = pages.ROOT / "docs"
BACKENDS = sorted(path for path in (DOCS / "backends").glob("*.md") if path.name != "README.md")


@pytest.fixture(scope="module")
def blocks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("blocks", DOCS / "tools" / "blocks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["blocks"] = module
    spec.loader.exec_module(module)
    return module


def configurations(page: Path) -> list[str]:
    """Complete ones: those that name a source."""
    found = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    return [text for text in found if re.search(r"^source:", text, re.MULTILINE)]


def test_every_backend_has_a_page_and_the_first_page_leads_to_it() -> None:
    groups = [f"leicos.{kind}" for kind in ("generate", "train", "replay")]
    own = {entry.name for entry in distribution("leicos").entry_points if entry.group in groups}
    assert own
    assert own <= {path.stem for path in BACKENDS}
    first = (DOCS / "backends" / "README.md").read_text()
    assert all(f"]({path.name}" in first for path in BACKENDS)


@pytest.mark.parametrize("page", BACKENDS, ids=lambda page: page.stem)
def test_a_backends_page_has_a_configuration_that_start_takes(page: Path) -> None:
    found = configurations(page)
    if page.stem == "physx":  # described with the panel, whose page has a whole one
        found = configurations(DOCS / "backends" / "panel.md")
    assert found
    for text in found:
        config = parse_config(text, page.name)
        if page.stem != "import":  # its folder is the reader's
            check_backends(config)
        named = {
            config.generate.backend,
            config.idm.backend,
            config.replay.backend,
            *config.replay.settings.get("engines", ()),
        }  # type: ignore[misc]
        assert page.stem in named


def test_every_check_of_a_run_is_explained() -> None:
    source = "".join(path.read_text() for path in (pages.ROOT / "leicos_jobs" / "judge").glob("*.py"))
    names = set(re.findall(r'Check\("([a-z0-9-]+)"', source))
    assert len(names) >= 9
    explained = (DOCS / "checks.md").read_text()
    assert {name for name in names if f"`{name}`" not in explained} == set()


def test_every_command_of_the_pages_exists_and_every_marker_is_known(blocks: ModuleType) -> None:
    seen = [block for page in blocks.pages() for block in blocks.blocks(page)]
    assert len(seen) > 25
    called = {
        name for block in seen for name in re.findall(r"(?:^|&& |bin/)leicos ([a-z][a-z-]+)", block.text, re.MULTILINE)
    }
    assert called - set(COMMANDS) == set()
    assert len(called) > 10
    skipped = [block for block in seen if block.markers]
    assert len(skipped) < len(seen) / 2


def test_an_unknown_marker_is_refused(blocks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text("```sh sometimes\nleicos --version\n```\n")
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="sometimes"):
        list(blocks.blocks(Path("page.md")))


def test_a_block_that_fails_is_told_with_its_page_and_line(
    blocks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text(
        "# A page\n\n```sh\ntrue\n```\n```sh gpu\nfalse\n```\n\n```sh\ntest -e here.txt\nfalse\n```\n"
    )
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "here.txt").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    (failed,) = blocks.check(Path("page.md"), prepared, scratch, False)
    assert failed.startswith("page.md:11\n")


def test_a_dead_link_fails_the_site_and_ours_has_none(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="THE SITE WAS NOT BUILT: pip install mkdocs-material")
    command = [sys.executable, "-m", "mkdocs", "build", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=pages.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "site" / "index.html").read_text()
    for page in ("quickstart.html", "cluster.html", "how-to.html", "backends/index.html"):
        assert f'href="{page}' in home
    assert re.findall(r'(?:src|href)="https?://(?!lightwheelai|argo|squidfunk)[^"]+\.(?:js|css|woff2?)', home) == []
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md)\n")
    config = (pages.ROOT / "mkdocs.yml").read_text()
    config = re.sub(r"^nav:\n(?:  .*\n)+|^hooks: .*\n", "", config, flags=re.MULTILINE)
    (tmp_path / "mkdocs.yml").write_text(config)
    dead = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert dead.returncode != 0
    assert "gone.md" in dead.stderr
