"""examples/backend as a stranger would use it: installed, found by its entry point, held to the contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import ROOT
from helpers.videos import images

from leicos_jobs.backends import registry
from leicos_jobs.backends.requests import GenerateRequest
from leicos_jobs.media.decode import read_frames
from leicos_jobs.media.encode import write_video
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import parse_config
from leicos_jobs.testing.backend_contract import GeneratorContract

CONFIG = """
source: {files: [a.hdf5], task: Wave.}
generate: {backend: still, settings: {crf: 30}}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in a folder of its own, with the metadata that setuptools makes of its pyproject.toml.

    `pip install` would do the same and more, but it needs an index for its build requirements.
    """
    pytest.importorskip("setuptools", reason="THE EXAMPLE BACKEND WAS NOT TESTED: setuptools is not installed")
    folder = shutil.copytree(ROOT / "examples" / "backend", tmp_path_factory.mktemp("still") / "site")
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "--quiet", "egg_info"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def on_the_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", str(installed))


class TestStillGenerator(GeneratorContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Any:
        kind = registry.load("generate", "still")
        return kind(registry.settings("generate", "still", {}), None, tmp_path)

    @pytest.fixture
    def requests(self, tmp_path: Path) -> Sequence[GenerateRequest]:
        clip = tmp_path / "clip.mp4"
        write_video(clip, images(5, 64, 48), 30)
        folders = [tmp_path / (name * 20) for name in ("a", "b")]
        for folder in folders:
            folder.mkdir()
        return [
            GenerateRequest(folder.name, "wave", number, clip, {}, 30.0, 12, 64, 48, folder)
            for number, folder in enumerate(folders)
        ]

    def test_every_frame_is_the_clips_first(self, backend: Any, requests: Sequence[GenerateRequest]) -> None:
        first = next(read_frames(requests[0].clip)).astype(float)
        for result in self.run(backend, requests).values():
            assert max(abs(frame - first).mean() for frame in read_frames(result.video)) < 5


def test_a_configuration_may_name_it_and_its_settings() -> None:
    assert "still" in registry.installed("generate")
    check_backends(parse_config(CONFIG, "config.yaml"))
    with pytest.raises(Exception, match="crff"):
        check_backends(parse_config(CONFIG.replace("crf:", "crff:"), "config.yaml"))


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_configuration_is_accepted(path: Path) -> None:
    check_backends(parse_config(path.read_text(), path.name))
