"""What the wheel must carry: every file of the packages that is no Python. `make wheels` installs the wheel itself."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch

from helpers import pages

from leicos_jobs.cli.doctor import EXTRAS

SETUPTOOLS = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_data_file_of_the_packages_is_in_the_wheel() -> None:
    patterns = SETUPTOOLS["package-data"]["*"]
    data = [
        path for path in pages.files() if path.parts[0] in ("leicos_jobs", "hera_workflows") and path.suffix != ".py"
    ]
    assert len(data) > 10
    assert [path for path in data if not any(fnmatch(path.name, pattern) for pattern in patterns)] == []


def test_every_folder_with_code_is_a_package() -> None:
    """A folder without __init__.py is not found by setuptools, and its files are not in the wheel."""
    folders = {path.parent for path in pages.files() if path.parts[0] in ("leicos_jobs", "hera_workflows")}
    data = {folder for folder in folders if folder.name in ("data", "manifests")}
    assert [folder for folder in folders - data if not (pages.ROOT / folder / "__init__.py").is_file()] == []


def test_doctor_looks_for_every_extra() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"local", "dev", "docs"}
