"""Fills the model cache: every model at its pinned revision, each downloaded once.

The chart runs it in a job image, from a ConfigMap: it needs Python and huggingface_hub, and nothing of leicos.
Exit codes as leicos': 0 done, 75 try again, 78 a wrong token, a licence that was not accepted, an unknown revision.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DONE, RETRY, INPUT = 0, 75, 78


def fill(models: list[dict[str, Any]], root: Path) -> int:
    """Download what is missing; returns the exit code."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    for model in models:
        name, revision = model["repository"], model["revision"]
        files = model.get("files") or None
        done = root / "leicos" / f"{name.replace('/', '--')}-{revision}.json"
        asked = json.dumps({"repository": name, "revision": revision, "files": files})
        if done.is_file() and done.read_text() == asked:
            say(f"{name} at {revision}: already here")
            continue
        try:
            snapshot_download(name, revision=revision, allow_patterns=files, cache_dir=str(root / "hub"))
        except GatedRepoError:
            say(f"{name} is gated: accept its terms with the account of huggingFace.existingSecret, then upgrade")
            return INPUT
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            say(f"{name} at {revision}: {error}; correct modelCache.models")
            return INPUT
        except (HfHubHTTPError, OSError) as error:
            say(f"{name} at {revision}: {error}; will be tried again")
            return RETRY
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(asked)
        say(f"{name} at {revision}: downloaded")
    return DONE


def say(text: str) -> None:
    """One line for the pod's log."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(fill(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
