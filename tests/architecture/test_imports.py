"""The light install is tested as such: a fresh process, and what it must not import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "mujoco", "hera", "kubernetes", "matplotlib", "PIL", "jinja2")


def loaded_by(code: str) -> list[str]:
    code += "\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [name for name in HEAVY if name in done.stdout.split()]


@pytest.mark.parametrize(
    "code",
    [
        "import leicos_jobs.cli.main",
        "import leicos_jobs.stages.convert, leicos_jobs.stages.plan, leicos_jobs.run.rounds",
        "import leicos_jobs.stages.curate, leicos_jobs.stages.assemble, leicos_jobs.run.status",
        "from leicos_jobs.run.config import *; from leicos_jobs.run.check_config import check_backends\n"
        "check_backends(RunConfig(source=SourceConfig(files=('a',), task='t')))",
        "from leicos_jobs.backends import base, registry\n"
        "for kind in base.KINDS:\n  for name in registry.installed(kind): registry.load(kind, name)",
    ],
)
def test_light_code_imports_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == []


def test_the_command_line_starts_without_stores_or_videos() -> None:
    code = "import leicos_jobs.cli.main, sys; assert not {'boto3', 'av', 'h5py', 'pyarrow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
