"""A whole run with the tiny model: undisturbed, killed while it generates, and with a sample that gives no video."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import process_tree
from helpers.command_line import leicos
from helpers.plots import SPARE
from stages.conftest import finish, snapshot, start

for _name in ("mujoco", "torch", "torchvision", "diffusers"):
    # not imported here: Mesa's LLVM and Triton's do not bear each other in one process
    if __import__("importlib.util").util.find_spec(_name) is None:
        pytest.skip(f"THE RUN WITH COSMOS WAS NOT TESTED: {_name} is not installed", allow_module_level=True)

pytestmark = pytest.mark.xdist_group("small-run")
SAMPLES, KILLS = 5, 3
CONFIG: dict[str, Any] = {
    "name": "cosmos-tiny",
    "source": {"task": "Lift the red cube up."},
    "plan": {"samples": SAMPLES},
    "generate": {
        "backend": "cosmos", "frames": 24, "width": 128, "height": 96,
        "settings": {"size": "tiny", "steps": 2, "post_train": {}},
    },
    "gate": {"checks": []},
    "idm": {"settings": {"steps": 20, "head_steps": 10, "checkpoint_every": 10, "threads": 1, "kinematics": "off"}},
    "label": {"settings": {"threads": 1}},
    "replay": {"settings": {"task": "none"}},
    "curate": {
        "require_success": False, "tracking_error_deg_max": 1000, "limit_violation_share_max": 1.0,
        "accept_unproven": True,
    },
    "rounds": {"losses_max": 100},
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cosmos-run")
    size = ("--width", "128", "--height", "96", "--workers", "1", "--episodes", "4", "--seed", "1")
    assert leicos("record", folder / "demos.hdf5", *size).returncode == 0
    CONFIG["source"]["files"] = [str(folder / "demos.hdf5")]
    path = folder / "cosmos.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> Path:
    out = config.parent / "undisturbed"
    finish(config, out, config.parent / "undisturbed.log", **SPARE)
    return out


def committed(out: Path) -> list[Path]:
    return sorted(out.glob("generate/*/*.json"))


def test_a_run_goes_from_clips_to_a_dataset_that_names_the_generator(undisturbed: Path) -> None:
    lines = (undisturbed / "synthetic/latest/meta/leicos/provenance.jsonl").read_text().splitlines()
    assert len(lines) == SAMPLES
    assert {json.loads(line)["generator"]["name"] for line in lines} == {"cosmos"}
    [artifact] = undisturbed.glob("cosmos/checkpoint/latest/artifact.json")
    sha256 = json.loads(artifact.read_text())["sha256"]
    for path in committed(undisturbed):
        notes = json.loads(path.read_text())["facts"]["notes"]
        assert notes["weights_sha256"] == sha256
        assert (notes["chunks"], notes["weights"], notes["device"]) == (3, "post-train", "cpu")


@pytest.mark.soak
def test_kills_while_it_generates_change_nothing(config: Path, undisturbed: Path) -> None:
    """SIGKILL to the whole tree, each at another moment of the work on a sample."""
    out, log = config.parent / "killed", config.parent / "killed.log"
    for number in range(KILLS):
        before = log.read_text().count("cosmos.prompts_encoded") if log.exists() else 0
        process = start(config, out, log)
        texts = lambda: "".join(path.read_text() for path in out.glob("logs/*/*.generate(*.log"))  # noqa: E731
        while texts().count("backend.started") <= before + number:
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.05)
        time.sleep(random.uniform(0, 2))
        process_tree.send(process_tree.freeze(process.pid), signal.SIGKILL)
        process.wait()
        assert len(committed(out)) < SAMPLES, "it had done all: the test needs more samples"
    finish(config, out, log)
    assert snapshot(out) == snapshot(undisturbed)
    assert len(committed(out)) == SAMPLES


@pytest.mark.soak
def test_a_model_that_gives_no_picture_quarantines_its_samples_by_what_was_seen(config: Path) -> None:
    """Guidance beyond float32: every latent is NaN."""
    other = config.with_name("nan.yaml")
    settings = {"size": "tiny", "steps": 2, "guidance": 1e38}
    changed = CONFIG | {"generate": CONFIG["generate"] | {"settings": settings}, "plan": {"samples": 2}}
    other.write_text(yaml.safe_dump(changed))
    out, log = config.parent / "nan", config.parent / "nan.log"
    assert start(other, out, log).wait(600) not in (0, 75)
    notes = [json.loads(path.read_text()) for path in out.glob("failures/generate/*/*.json")]
    assert notes
    assert all("not finite (NaN)" in note["error"] for note in notes)
    assert not committed(out)
