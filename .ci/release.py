"""A release but for the pushing: versions agree, wheel and chart are packed, the commands of the rest are printed.

docs/releasing.md is the recipe.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("jobs", "cosmos", "idm", "isaac")


def versions() -> dict[str, str]:
    """Every place that says a version, and which it says."""
    chart = yaml.safe_load((ROOT / "helm/leicos/Chart.yaml").read_text())
    found = {
        "pyproject.toml": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "leicos_jobs/__init__.py": _match(r'__version__ = "(.+)"', "leicos_jobs/__init__.py"),
        "hera_workflows/images.py": _match(r'tag: str = "(.+)"', "hera_workflows/images.py"),
        "helm/leicos/Chart.yaml version": chart["version"],
        "helm/leicos/Chart.yaml appVersion": chart["appVersion"],
    }
    for image in IMAGES:
        path = f"images/{image}/Dockerfile"
        found[path] = _match(r"^ARG VERSION=(.+)$", path)
    return found


def changelog(version: str) -> str | None:
    """The section of a version; None if there is none."""
    text = (ROOT / "CHANGELOG.md").read_text()
    match = re.search(rf"^## {re.escape(version)}\b.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[0] if match else None


def _match(pattern: str, path: str) -> str:
    found = re.search(pattern, (ROOT / path).read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{path} says no version")
    return found[1]


def main() -> int:
    """Command line; returns the exit code."""
    said = versions()
    if len(set(said.values())) != 1:
        print("versions differ:\n" + json.dumps(said, indent=2), file=sys.stderr)
        return 1
    (version,) = set(said.values())
    print(f"{version}, in all {len(said)} places")
    if changelog(version) is None:
        print(f"note: CHANGELOG.md has no section {version} yet: rename `Unreleased` on the day", file=sys.stderr)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory(prefix="leicos-release-") as name:
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", name, str(ROOT)]
        subprocess.run(build, check=True)
        import helm_python  # loads Helm's own engine

        helm_python.package(str(ROOT / "helm" / "leicos"), destination=name)
        for path in sorted(Path(name).iterdir()):
            print(f"built {path.name}, {path.stat().st_size / 1e6:.1f} MB")
    print("then, as docs/releasing.md says:")
    print(f"  git tag v{version}")
    print(f"  twine upload leicos-{version}-py3-none-any.whl")
    for image in IMAGES:
        tag = f"ghcr.io/leicos/{image}:{version}"
        options = f"--build-arg VERSION={version} --build-arg GIT_COMMIT={commit.strip()}"
        print(f"  docker build -f images/{image}/Dockerfile -t {tag} {options} . && docker push {tag}")
    print(f"  helm package helm/leicos && helm push leicos-{version}.tgz oci://ghcr.io/leicos/charts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
