"""Render the WorkflowTemplates to YAML: `python -m hera_workflows.render` writes them, `--check` only compares.

One call writes both homes, so that they cannot differ: `leicos_jobs/manifests/` is shipped in the wheel and read by
`leicos run`; `helm/leicos/files/` is what the chart installs. These files are the golden files of the tests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from hera_workflows.images import Images
from hera_workflows.lint import check
from hera_workflows.pipeline import workflow_templates
from leicos_jobs.core.errors import DefectError, InputError, LeicosError

ROOT = Path(__file__).resolve().parent.parent
HOMES = (ROOT / "leicos_jobs" / "manifests", ROOT / "helm" / "leicos" / "files")
HEADER = "# Written by `python -m hera_workflows.render`. Change hera_workflows/, not this file.\n"


def manifests(where: Images | None = None) -> list[dict[str, Any]]:
    """The WorkflowTemplates as plain dictionaries, checked by the semantic lint."""
    found: list[dict[str, Any]] = []
    for template in workflow_templates(where):
        manifest = template.to_dict()
        if not isinstance(manifest, dict):
            raise DefectError(f"Hera rendered {template.name} as {type(manifest).__name__}, not as a mapping")
        found.append(manifest)
    problems = check(found)
    if problems:
        raise DefectError("the rendered workflows are wrong:\n" + "\n".join(f"  {problem}" for problem in problems))
    return found


def rendered(where: Images | None = None) -> dict[str, str]:
    """File name -> text of every manifest."""
    return {
        f"{manifest['metadata']['name']}.yaml": HEADER + yaml.safe_dump(ordered(manifest), sort_keys=False, width=120)
        for manifest in manifests(where)
    }


def ordered(value: Any) -> Any:
    """Sort keys by name, but `name` first: for readers, and so that another Hera release gives the same bytes."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=lambda key: (key != "name", key))}
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value


def wanted(directories: tuple[Path, ...]) -> dict[Path, str]:
    """Path -> text of every manifest in every directory."""
    return {directory / name: text for name, text in rendered().items() for directory in directories}


def stale(directories: tuple[Path, ...], texts: dict[Path, str]) -> set[Path]:
    """Manifests that are no longer rendered."""
    return {path for directory in directories for path in directory.glob("leicos-*.yaml")} - texts.keys()


def write(directories: tuple[Path, ...] = HOMES) -> list[Path]:
    """Write every manifest to every directory, and remove those that are no longer rendered."""
    texts = wanted(directories)
    for path in stale(directories, texts):
        path.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(texts)


def differences(directories: tuple[Path, ...] = HOMES) -> list[str]:
    """What does not equal the rendered text, one line per file."""
    texts = wanted(directories)
    found = [f"{path}: not rendered any more" for path in stale(directories, texts)]
    for path, text in texts.items():
        if not path.is_file():
            found.append(f"{path}: missing")
        elif path.read_text() != text:
            found.append(f"{path}: differs from what hera_workflows renders")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m hera_workflows.render", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 78 when a file differs")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            found = differences()
            if found:
                raise InputError("\n".join(found), fix="run `python -m hera_workflows.render` and commit the result")
        else:
            for path in write():
                print(path)
    except LeicosError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
