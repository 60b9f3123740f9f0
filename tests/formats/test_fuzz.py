"""A few dozen damaged files of each subject in every test run; `fuzz.py` is the same for hours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fuzz import SUBJECTS, batch


@pytest.mark.parametrize(
    ("name", "first"), [("recordings", "convert"), ("configurations", "start"), ("datasets", "export")]
)
def test_damaged_files_give_answers_not_tracebacks(name: str, first: str, tmp_path: Path) -> None:
    seen = batch(SUBJECTS[name], 1, tmp_path, count=40)
    assert "trouble" not in seen, [path.read_text() for path in tmp_path.glob("*.txt")]
    assert seen[f"{first} done"] > 2
    assert seen[f"{first} InputError"] > 2
