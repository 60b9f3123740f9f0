"""The licence that pyproject.toml names is there in full, and goes where the code goes."""

from __future__ import annotations

import hashlib
import tomllib

from helpers.pages import ROOT

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""sha256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""


def test_the_licence_is_apaches_own_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def test_the_wheel_and_every_image_have_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    recipes = sorted((ROOT / "images").glob("*/Dockerfile"))
    assert recipes
    assert [path for path in recipes if "COPY pyproject.toml README.md LICENSE " not in path.read_text()] == []
