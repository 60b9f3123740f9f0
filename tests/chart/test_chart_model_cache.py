"""The script that fills the model cache, against a stand-in for huggingface_hub."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chart.rendering import CHART

REVISION = "a" * 40
MODELS = [{"repository": "nvidia/one", "revision": REVISION}, {"repository": "nvidia/two", "revision": REVISION}]
ERRORS = ("GatedRepoError", "HfHubHTTPError", "RepositoryNotFoundError", "RevisionNotFoundError")


class Hub:
    """Downloads a file a model, or fails as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.failing: dict[str, Exception] = {}
        hub, errors = ModuleType("huggingface_hub"), ModuleType("huggingface_hub.errors")
        base = type("HfHubHTTPError", (OSError,), {})
        for name in ERRORS:
            setattr(errors, name, base if name == "HfHubHTTPError" else type(name, (base,), {}))
        self.errors: Any = errors
        hub.snapshot_download = self.download  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)

    def download(self, name: str, *, revision: str, allow_patterns: Any, cache_dir: str) -> None:
        if name in self.failing:
            raise self.failing[name]
        self.asked.append(name)
        path = Path(cache_dir) / name.replace("/", "--") / revision
        path.mkdir(parents=True)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(monkeypatch)


@pytest.fixture
def fill() -> Callable[[list[dict[str, Any]], Path], int]:
    spec = importlib.util.spec_from_file_location("fill_model_cache", CHART / "scripts" / "fill_model_cache.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[list[dict[str, Any]], Path], int] = module.fill
    return found


def test_each_model_is_downloaded_once(hub: Hub, fill: Any, tmp_path: Path) -> None:
    assert fill(MODELS, tmp_path) == 0
    assert fill(MODELS, tmp_path) == 0
    assert hub.asked == ["nvidia/one", "nvidia/two"]


def test_other_files_of_a_model_are_another_request(hub: Hub, fill: Any, tmp_path: Path) -> None:
    fill(MODELS[:1], tmp_path)
    (tmp_path / "hub" / "nvidia--one" / REVISION).rmdir()
    assert fill([{**MODELS[0], "files": ["*.json"]}], tmp_path) == 0
    assert hub.asked == ["nvidia/one", "nvidia/one"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("GatedRepoError", 78), ("RepositoryNotFoundError", 78), ("RevisionNotFoundError", 78), ("HfHubHTTPError", 75)],
)
def test_what_cannot_be_helped_by_trying_again_is_told_apart(
    hub: Hub, fill: Any, tmp_path: Path, name: str, code: int
) -> None:
    hub.failing["nvidia/two"] = getattr(hub.errors, name)("no")
    assert fill(MODELS, tmp_path) == code
    hub.failing.clear()
    assert fill(MODELS, tmp_path) == 0
    assert hub.asked == ["nvidia/one", "nvidia/two"]


def test_a_full_disk_is_tried_again(hub: Hub, fill: Any, tmp_path: Path) -> None:
    hub.failing["nvidia/one"] = OSError("no space left")
    assert fill(MODELS, tmp_path) == 75
