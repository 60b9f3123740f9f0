"""The recipe of the jobs image. That it builds and runs is for the cluster tests; here is what can be seen without."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "images" / "jobs"
RECIPE = (IMAGE / "Dockerfile").read_text()
MACHINES = {"x86_64": 62, "aarch64": 183}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, IMAGE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs_as_a_user_without_an_entrypoint_and_without_hera() -> None:
    instructions = [line.split()[0] for line in RECIPE.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert "ENTRYPOINT" not in instructions
    assert re.search(r"^USER 1000:1000$", RECIPE, re.MULTILINE)
    copied = [part for line in re.findall(r"^COPY (.*)$", RECIPE, re.MULTILINE) for part in line.split()[:-1]]
    assert "leicos_jobs" in copied
    assert not any("hera" in part for part in copied)
    assert all((ROOT / part).exists() for part in copied)


def test_the_base_is_an_argument() -> None:
    assert RECIPE.index("ARG BASE=") < RECIPE.index("FROM ${BASE}")


def test_every_requirement_of_every_extra_has_a_fixed_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    fixed = {line.split("==")[0] for line in (IMAGE / "constraints.txt").read_text().splitlines() if "==" in line}
    wanted = script("requirements").requirements(project, ["local"])
    names = {re.split(r"[^A-Za-z0-9_.-]", item)[0].lower().replace("_", "-") for item in wanted}
    assert {"numpy", "mujoco", "jinja2"} <= names
    assert names - fixed == set()
    assert "torch" in fixed
    assert "torch" not in names


def test_an_unknown_extra_is_refused() -> None:
    with pytest.raises(SystemExit, match="no extra 'gpu'"):
        script("requirements").requirements({"dependencies": [], "optional-dependencies": {"torch": []}}, ["gpu"])


def test_a_stand_in_library_loads_and_gives_its_symbols(tmp_path: Path) -> None:
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        pytest.skip(f"no stand-in libraries for {os.uname().machine}")
    torch = script("install_torch")
    (tmp_path / "libzeros.so").write_bytes(torch.stand_in_library("libzeros.so", machine, ["one", "another"]))
    (tmp_path / "libempty.so.1").write_bytes(torch.stand_in_library("libempty.so.1", machine, needs="libzeros.so"))
    loaded = ctypes.CDLL(str(tmp_path / "libempty.so.1"))
    assert hasattr(loaded, "one")
    assert hasattr(loaded, "another")
    assert not hasattr(loaded, "a_third")
    assert ctypes.c_long.in_dll(ctypes.CDLL(str(tmp_path / "libzeros.so")), "one").value == 0


def test_what_was_left_out_is_not_brought_by_the_next_install(tmp_path: Path) -> None:
    torch = script("install_torch")
    installed = importlib.metadata.distribution("torch")
    folder = tmp_path / "torch-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(installed.read_text("METADATA") or "")
    torch.forget(tmp_path)
    after = importlib.metadata.PathDistribution(folder)
    wanted = [item for item in after.requires or [] if "extra ==" not in item]
    assert wanted == torch.requirements()
    assert "filelock" in wanted
    assert not [item for item in wanted if re.match("nvidia-cudnn|triton", item)]
    assert after.version == installed.version
    assert after.metadata.get_all("Provides-Extra") == installed.metadata.get_all("Provides-Extra")
