"""With truth/, plan/, starts/ and source/ gone and the videos renamed at random, labels are byte-identical."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from pathlib import Path

import pytest
from helpers.command_line import leicos
from helpers.identity import environment
from stages.conftest import CONFIG

pytestmark = pytest.mark.xdist_group("small-run")


def test_labels_need_nothing_but_the_video_and_the_idm(undisturbed: Path, tmp_path: Path) -> None:
    shutil.copytree(undisturbed / "idm/latest", tmp_path / "idm")
    videos, expected = tmp_path / "videos", {}
    videos.mkdir()
    records = [json.loads(path.read_text()) for path in undisturbed.glob("label/*/*.json")]
    assert records
    random.shuffle(records)
    for record in records:
        made = [json.loads(path.read_text()) for path in undisturbed.glob(f"generate/{record['sample']}/*.json")]
        name = uuid.uuid4().hex
        shutil.copyfile(undisturbed / made[0]["object"], videos / f"{name}.mp4")
        expected[name] = (undisturbed / record["object"]).read_bytes()
    settings = json.dumps(CONFIG["label"]["settings"])
    command = ("label-videos", tmp_path / "idm", *sorted(videos.iterdir()), "--out", tmp_path, "--settings", settings)
    assert leicos(*command, env=environment(), cwd=tmp_path).returncode == 0
    for name, table in expected.items():
        assert (tmp_path / f"{name}.parquet").read_bytes() == table, name
    assert len(set(expected.values())) == len(expected) == CONFIG["plan"]["samples"]
