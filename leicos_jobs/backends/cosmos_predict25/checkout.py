"""Where upstream is on this machine, and whether it is the commit it should be."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.programs import clean_environment, commit_of

CHECKOUT_ENV, PYTHON_ENV = "LEICOS_COSMOS", "LEICOS_COSMOS_PYTHON"


@dataclass(frozen=True)
class Checkout:
    """A usable upstream. commit: what it says it is, None if it does not say."""

    root: Path
    python: Path
    commit: str | None

    def environment(self, *, offline: bool, **extra: str) -> dict[str, str]:
        """Environment of upstream's programs. `offline` forbids the hub clients to look for anything newer."""
        found = clean_environment(extra)
        found.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        if offline:
            found |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "UV_OFFLINE": "1"}
        return found


def find_checkout(settings: CosmosSettings) -> Checkout:
    """The configured upstream. Raises InputError if it is missing or another commit than the settings name."""
    name = settings.checkout or os.environ.get(CHECKOUT_ENV)
    if not name:
        raise InputError(
            "cosmos-predict2.5 is not on this machine",
            fix=f"run in the cosmos image, or name a checkout of {settings.commit[:8]} in ${CHECKOUT_ENV}",
        )
    root = Path(name).absolute()
    if not (root / "examples" / "inference.py").is_file():
        raise InputError(f"{root} is not a checkout of cosmos-predict2.5", fix=f"correct ${CHECKOUT_ENV}")
    commit = commit_of(root)
    if commit not in (None, settings.commit):
        raise InputError(
            f"{root} is at commit {commit}, but the run is for {settings.commit}",
            fix="check out that commit, or say so in generate.settings.commit: it makes other videos",
        )
    return Checkout(root, _python(root, settings), commit)


def _python(root: Path, settings: CosmosSettings) -> Path:
    name = settings.python or os.environ.get(PYTHON_ENV) or str(root / ".venv" / "bin" / "python")
    found = shutil.which(name)
    if found is None:
        raise InputError(
            f"no Python of cosmos-predict2.5 at {name}", fix=f"run `uv sync` in the checkout or set ${PYTHON_ENV}"
        )
    return Path(found).absolute()  # not resolved: a virtual environment is found by the name of its link
