"""Package, images, chart and manifests have one version, and what is printed about images names it."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from helpers import pages

from leicos_jobs import __version__


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", pages.ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_place_that_says_a_version_says_the_same(release: ModuleType) -> None:
    said = release.versions()
    assert len(said) == 9
    assert set(said.values()) == {__version__}


def test_pages_name_images_of_this_version() -> None:
    named = [
        (page, tag)
        for page in pages.files()
        if page.suffix == ".md"
        for tag in re.findall(r"leicos/(?:jobs|cosmos|idm|isaac):([\w.-]+)", (pages.ROOT / page).read_text())
    ]
    assert named
    assert {tag for _, tag in named} == {__version__}, named


def test_the_changelog_section_of_a_version_ends_where_the_next_begins(release: ModuleType) -> None:
    section = release.changelog("Unreleased")
    assert section.startswith("## Unreleased")
    assert section.count("\n## ") == 0
    assert release.changelog("9.9.9") is None
