"""A few dozen damaged recordings in every test run; `fuzz_recordings.py` is the same for hours."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_recordings import batch


def test_damaged_recordings_give_answers_not_tracebacks(tmp_path: Path) -> None:
    seen = batch(1, tmp_path, count=40)
    assert "trouble" not in seen, [path.read_text() for path in tmp_path.glob("*.txt")]
    assert seen["convert done"] > 5
    assert seen["convert InputError"] > 2
