"""What is made from an embodiment, and the artifact that binds it to weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gr00t_small as small
import pytest
import yaml

from leicos_jobs.backends.gr00t_dreams import artifact, configs
from leicos_jobs.backends.gr00t_dreams.backend import Gr00tDreamsLabeller, Gr00tDreamsTrainer
from leicos_jobs.backends.gr00t_dreams.settings import checkout
from leicos_jobs.backends.gr00t_dreams.verify import described_checkpoint
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.digests import digest_of
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.formats.gr00t import modality

# sha256 of canonical JSON of the tutorial's own two files for SO101 (docs/decisions/idm.md 6)
TUTORIAL_MODALITY = "b7470e2825b43773b7a183b6e9670852036ca42a2136626126a5f82c5990c866"
TUTORIAL_CONF = "0f4259d82e3877353f85ddfdf1fe6a0f37b54b851ffaa6e5bcef4912fd0e0ae4"


def undone(value: dict[str, Any], file: str) -> dict[str, Any]:
    """The file with the intended differences taken back."""
    copy: dict[str, Any] = json.loads(json.dumps(value))
    for item in configs.intended_differences(SO101):
        if item.file == file:
            *path, last = item.where.split(".")
            place = copy
            for key in path:
                place = place[key]
            assert place[last] == item.ours
            place[last] = item.theirs
    return copy


def test_the_tutorials_files_are_reproduced_but_for_the_listed_differences():
    ours = modality(SO101, ("front",))
    assert digest_of(ours) != TUTORIAL_MODALITY
    assert digest_of(undone(ours, "modality.json")) == TUTORIAL_MODALITY
    assert digest_of(yaml.safe_load(configs.conf_yaml(SO101, ("front",)))) == TUTORIAL_CONF


def test_every_difference_has_a_reason():
    found = configs.intended_differences(SO101)
    assert len(found) == SO101.action.width + 1
    assert all(item.reason and item.theirs != item.ours for item in found)
    ours = configs.modality_configs(SO101, ("front",))
    (last,) = [item for item in found if item.file == "data config"]
    assert ours["language"]["delta_indices"] == last.ours


def test_conf_is_for_people_too():
    text = configs.conf_yaml(SO101, ("front",))
    assert "&id" not in text
    assert yaml.safe_load(text) == configs.conf(SO101, ("front",))


@pytest.fixture
def made(tmp_path: Path) -> artifact.Description:
    return small.write_artifact(tmp_path / "artifact", (64, 48))


def test_published_and_read(made):
    assert made.geometry == (64, 48)
    assert (made.fps, made.camera, made.embodiment_id, made.frame_offsets) == (30.0, "front", 31, (0, 16))
    assert made.low.tolist() == small.STATS_LOW
    again = artifact.load(made.folder)
    assert again.digest == made.digest
    names = {path.relative_to(made.folder).as_posix() for path in made.folder.rglob("*") if path.is_file()}
    assert names == {"artifact.json", "config.json", "model.safetensors", "modality.json", "stats.json",
                     "experiment_cfg/conf.yaml", "experiment_cfg/metadata.json"}  # fmt: skip


@pytest.mark.parametrize("name", ["model.safetensors", "stats.json", "modality.json", "experiment_cfg/conf.yaml"])
def test_a_changed_file_is_refused(made, name):
    path = made.folder / name
    path.write_bytes(
        path.read_bytes().replace(b"0", b"1", 1) if name != "model.safetensors" else path.read_bytes() + b"x"
    )
    with pytest.raises(InputError, match=r"is not the file that artifact\.json describes") as found:
        artifact.load(made.folder)
    assert found.value.exit_code == ExitCode.INPUT


@pytest.mark.parametrize(
    ("field", "value"),
    [("frame_offsets", [0, 8]), ("upstream", "0" * 40), ("format", "other"), ("joints", ["a.pos"]), ("robot", "r2d2")],
)
def test_a_mismatch_is_refused(made, field, value):
    path = made.folder / "artifact.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(InputError, match=r"r2d2|" + field):
        artifact.load(made.folder)


@pytest.mark.parametrize("field", ["fps", "geometry", "camera", "image", "facts", "embodiment_id"])
def test_no_word_of_the_description_can_be_changed(made, field):
    path = made.folder / "artifact.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {field: [1, 2] if field == "geometry" else {} if field == "image" else 7}))
    with pytest.raises(InputError, match="was changed after training"):
        artifact.load(made.folder)


def test_a_cut_folder_is_refused(made, tmp_path):
    (made.folder / "artifact.json").unlink()
    with pytest.raises(InputError, match="does not describe a gr00t-dreams artifact"):
        artifact.load(made.folder)


def test_other_statistics_than_the_trainings_are_refused(tmp_path):
    small.write_checkpoint(tmp_path / "c", "small", small.SMALL, small.random_weights(), (64, 48))
    stats = small.stats()
    stats["action"] = stats["action"] | {"max": [90.0, *small.STATS_HIGH[1:]]}
    with pytest.raises(InputError, match="max of shoulder_pan"):
        artifact.publish(tmp_path / "c", tmp_path / "out", SO101, "front", stats=stats, geometry=(64, 48), fps=30.0,
                         facts={}, vision=small.SMALL.vision)  # fmt: skip


def test_an_artifact_from_a_plain_checkpoint(tmp_path, made):
    """A folder that idm_training.py left, without anything of ours: all of it stands in its metadata."""
    small.write_checkpoint(tmp_path / "c", "small", small.SMALL, small.random_weights(), (64, 48))
    found = described_checkpoint(tmp_path / "c", tmp_path / "out", "so101", "front", small.SMALL.vision)
    assert (found.geometry, found.fps) == (made.geometry, made.fps)
    assert found.low.tolist() == made.low.tolist()
    assert described_checkpoint(made.folder, tmp_path / "unused", "so101", "front", None).digest == made.digest


def test_entry_points_are_light():
    """Planning pods read version and settings in an image without torch."""
    code = (
        "import sys; from leicos_jobs.backends.gr00t_dreams import backend as b\n"
        "b.Gr00tDreamsTrainer(b.TrainerSettings(), None); print(b.Gr00tDreamsLabeller.Settings().model_dump())\n"
        "assert not {'torch', 'triton', 'av', 'transformers'} & set(sys.modules), 'a heavy import'"
    )
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_speed_settings_enter_no_identity():
    labeller = Gr00tDreamsLabeller.Settings.model_validate({"decoders": 4, "videos": 8, "device": "cpu"})
    assert labeller.model_dump(exclude_defaults=True) == {}
    trainer = Gr00tDreamsTrainer.Settings.model_validate(
        {"workers": 1, "checkout": "/x", "python": "/y", "save_steps": 7}
    )
    assert trainer.model_dump(exclude_defaults=True) == {}


def test_a_missing_checkout_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("LEICOS_GR00T_DREAMS", raising=False)
    with pytest.raises(InputError, match="needs a checkout"):
        checkout(None)
    with pytest.raises(InputError, match="not a GR00T-Dreams checkout"):
        checkout(str(tmp_path))
