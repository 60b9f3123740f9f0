"""Prints what leicos needs with the named extras, from pyproject.toml: so that dependencies are a layer of their own.

torch is left out: `install_torch.py` puts it in.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """Requirements of the base and of extras. Raises SystemExit for an unknown extra."""
    optional = project.get("optional-dependencies")
    base = project.get("dependencies")
    assert isinstance(optional, dict)
    assert isinstance(base, list)
    found = list(base)
    for extra in extras:
        if extra not in optional:
            raise SystemExit(f"EXTRAS: there is no extra {extra!r}; use some of {', '.join(optional)}")
        for item in optional[extra]:
            own = re.fullmatch(r"leicos\[(.*)\]", item)
            found += requirements({**project, "dependencies": []}, own.group(1).split(",")) if own else [item]
    return [item for item in found if not re.match(r"torch\b", item)]


if __name__ == "__main__":
    text = tomllib.loads(Path(sys.argv[1]).read_text())
    print("\n".join(requirements(text["project"], [extra for extra in sys.argv[2].split(",") if extra])))
