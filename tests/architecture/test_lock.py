"""requirements.lock is all that pyproject.toml asks for, within its bounds, and fits together.

It is for Linux on x86-64. `make lock-check` also asks an index whether the lock and a fresh install still resolve.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from helpers.pages import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LINUX = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = ROOT / "images" / "jobs" / "constraints.txt"
NEWEST_MAY_BREAK = {"numpy", "h5py", "av", "pydantic", "boto3", "click", "pyyaml", "torch", "mujoco", "jinja2", "hera"}
INSTALLERS = {"pip", "setuptools", "wheel"}
"""Not in a lock: they are there before it is read."""


def pins(text: str) -> dict[str, Version]:
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def asked_for(extras: list[str]) -> list[Requirement]:
    """Requirements of the base and of extras, with those of the extras that they name."""
    own = list(PROJECT["dependencies"])
    for extra in extras:
        for item in PROJECT["optional-dependencies"][extra]:
            named = re.fullmatch(r"leicos\[(.*)\]", item)
            own += [str(each) for each in asked_for(named[1].split(","))] if named else [item]
    return [Requirement(item) for item in dict.fromkeys(own)]


LOCK = pins((ROOT / "requirements.lock").read_text())


@pytest.mark.parametrize("requirement", asked_for(["dev"]), ids=lambda requirement: requirement.name)
def test_the_lock_has_what_is_asked_for_within_its_bounds(requirement: Requirement) -> None:
    version = LOCK.get(canonicalize_name(requirement.name))
    assert version is not None, f"{requirement.name} is not in requirements.lock"
    assert requirement.specifier.contains(version)


def test_the_images_constraints_are_within_the_bounds_too() -> None:
    constraints = pins(CONSTRAINTS.read_text())
    outside = [
        str(requirement)
        for requirement in asked_for(["local"])
        if (version := constraints.get(canonicalize_name(requirement.name))) is not None
        and not requirement.specifier.contains(version)
    ]
    assert outside == []


def test_what_may_break_with_its_next_major_version_has_an_upper_bound() -> None:
    bounded = {
        canonicalize_name(requirement.name)
        for requirement in asked_for(["dev"])
        if any(each.operator in ("<", "<=", "==", "~=") for each in requirement.specifier)
    }
    assert bounded >= NEWEST_MAY_BREAK


@pytest.mark.parametrize("name", sorted(LOCK))
def test_what_a_locked_package_needs_is_locked_and_fits(name: str) -> None:
    """From the metadata of the installed package, if that is the locked version."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if Version(installed.version) != LOCK[name]:
        pytest.skip(f"{name} {installed.version} is installed, {LOCK[name]} is locked")
    wrong = []
    for requirement in map(Requirement, installed.requires or ()):
        if requirement.marker is not None and not requirement.marker.evaluate(LINUX | {"extra": ""}):
            continue
        version = LOCK.get(canonicalize_name(requirement.name))
        if canonicalize_name(requirement.name) not in INSTALLERS and (
            version is None or not requirement.specifier.contains(version, prereleases=True)
        ):
            wrong.append(f"{requirement}, locked: {version}")
    assert wrong == []
