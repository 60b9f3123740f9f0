"""Against upstream itself: GR00T-Dreams' own get_action, loaded with its own classes from a small random checkpoint.

Needs LEICOS_GR00T_DREAMS (a checkout at the commit in `settings.UPSTREAM`) and, if its packages are not in this
environment, LEICOS_GR00T_PYTHON. Skipped loudly without: the other tests hold the engine against our own plain copy.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import gr00t_small as small
import pytest

from leicos_jobs.backends.gr00t_dreams import settings
from leicos_jobs.backends.gr00t_dreams.verify import verify
from leicos_jobs.media.encode import write_video

OFFLINE = Path(__file__).resolve().parents[2] / "benchmarks" / "idm_h200" / "offline.py"
CHECKOUT = os.environ.get(settings.CHECKOUT_VARIABLE)

pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason=f"NOT COMPARED WITH UPSTREAM: {settings.CHECKOUT_VARIABLE} names no checkout"
)


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SigLIP as Hugging Face has it, and a hub cache with the image processor; both without network."""
    root = tmp_path_factory.mktemp("tower")
    config = {"model_type": "siglip", "architectures": ["SiglipModel"], "vision_config": small.TWELVE.vision,
              "text_config": small.TEXT}  # fmt: skip
    (root / "config.json").write_text(json.dumps(config))
    prefix = "action_head.siglip_model."
    weights = {name.removeprefix(prefix): value for name, value in small.random_weights(small.TWELVE).items()
               if name.startswith(prefix)}  # fmt: skip
    small.write_safetensors(root / "model.safetensors", weights)
    for what in ("stubs", "processor"):
        python = settings.python(None)
        subprocess.run([python, str(OFFLINE), what, str(root / what)], check=True, capture_output=True)
    return root


def test_the_same_as_upstream(tower, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tower / "processor"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(OFFLINE.parents[2]), str(tower / "stubs")]))
    small.write_checkpoint(tmp_path / "c", str(tower), small.TWELVE, small.random_weights(small.TWELVE), (64, 48))
    write_video(tmp_path / "video.mp4", small.pictures(24, 64, 48), 30)
    report = verify(Path(CHECKOUT or ""), tmp_path / "c", tmp_path / "video.mp4", windows=6, device="cpu")
    assert report.pixels_differ == 0
    (found,) = report.differences
    assert found.bound == 1e-5
    assert found.relative < found.bound
    assert report.passed
