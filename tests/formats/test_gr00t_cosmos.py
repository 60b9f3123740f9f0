"""GR00T's two files and Cosmos's inputs, held against what upstream reads and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats import gr00t
from leicos_jobs.formats.cosmos import (
    TUTORIAL_NEGATIVE_PROMPT,
    BatchLine,
    chunk_count,
    prompt_for,
    spaced_seed,
    trains,
    write_post_training,
)
from leicos_jobs.formats.lerobot_layout import columns
from leicos_jobs.media.encode import write_video
from leicos_jobs.media.errors import VideoError


def test_modality_is_the_tutorials_but_absolute() -> None:
    found = gr00t.modality(SO101, ("front",))
    joints = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
    assert list(found["action"]) == joints
    assert found["action"]["gripper"] == {"start": 5, "end": 6, "absolute": True}
    assert found["state"]["elbow_flex"] == {"start": 2, "end": 3}
    assert found["video"] == {"front": {"original_key": "observation.images.front"}}
    assert found["annotation"] == {"human.task_description": {"original_key": "task_index"}}


def episodes(count: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(3)
    found, first = [], 0
    for index in range(count):
        rows = int(random.integers(5, 40))
        actions, states = (random.normal(50, 9, (rows, 6)).astype(np.float32) for _ in range(2))
        found.append(columns(actions, states, 30, episode_index=index, first_index=first, task_index=0))  # type: ignore[arg-type]
        first += rows
    return found


def test_stats_have_exactly_six_keys_and_numpys_values(tmp_path: Path) -> None:
    builder = gr00t.StatsBuilder()
    data = episodes(20)
    for one in data:
        builder.add(one)
    gr00t.write_meta(tmp_path, SO101, ("front",), builder)
    stats = json.loads((tmp_path / "meta/stats.json").read_text())
    assert set(stats) == set(data[0])
    for key in data[0]:
        values = np.concatenate([one[key] for one in data]).astype(np.float64)
        values = values[:, None] if values.ndim == 1 else values
        wanted = {
            "mean": values.mean(0),
            "std": values.std(0),
            "min": values.min(0),
            "max": values.max(0),
            "q01": np.quantile(values, 0.01, axis=0),
            "q99": np.quantile(values, 0.99, axis=0),
        }
        assert set(stats[key]) == set(wanted)
        for name, expected in wanted.items():
            np.testing.assert_allclose(stats[key][name], expected, rtol=1e-5, atol=1e-6)
    assert gr00t.check(tmp_path, SO101, ("front",)) == []


def test_quantiles_of_very_many_rows_come_from_an_even_share_of_them() -> None:
    builder = gr00t.StatsBuilder(kept_rows=500)
    data = np.random.default_rng(0).normal(0, 1, (20_000, 2)).astype(np.float32)
    for part in np.array_split(data, 63):
        builder.add({"action": part})
    found = builder.result()["action"]
    np.testing.assert_allclose(found["mean"], data.mean(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(found["std"], data.std(0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(found["q99"], np.quantile(data, 0.99, axis=0), atol=0.45)
    assert found["max"] == data.max(0).tolist()


@pytest.mark.parametrize("damage", ["count", "missing", "width", "nan", "absolute", "no file"])
def test_wrong_gr00t_files_are_found(tmp_path: Path, damage: str) -> None:
    builder = gr00t.StatsBuilder()
    for one in episodes(2):
        builder.add(one)
    gr00t.write_meta(tmp_path, SO101, ("front",), builder)
    stats_path, modality_path = tmp_path / "meta/stats.json", tmp_path / "meta/modality.json"
    stats, modality = json.loads(stats_path.read_text()), json.loads(modality_path.read_text())
    if damage == "count":
        stats["action"]["count"] = [5]
    elif damage == "missing":
        del stats["observation.state"]["q99"]
    elif damage == "width":
        stats["action"]["mean"].pop()
    elif damage == "nan":
        stats["action"]["std"][2] = float("nan")
    elif damage == "absolute":
        modality["action"]["gripper"]["absolute"] = False
    stats_path.write_text(json.dumps(stats))
    modality_path.write_text(json.dumps(modality))
    if damage == "no file":
        stats_path.unlink()
    assert len(gr00t.check(tmp_path, SO101, ("front",))) == 1


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Lift the red cube up.", "Lift_the_red_cube_up"),
        ("Pick three oranges, then reset the arm.", "Pick_three_oranges_then_reset_the_arm"),
        ("  Don't drop the ice-cream!  ", "Don't_drop_the_ice-cream"),
    ],
)
def test_prompt_form(text: str, form: str) -> None:
    assert prompt_for(text) == form
    assert prompt_for(text, use_prompt=False) == "The robot arm is performing a task"
    assert prompt_for(text, form="prose") == f"The robot arm is performing a task. {text.strip()}"


def test_a_prompt_needs_words() -> None:
    with pytest.raises(InputError, match="no words"):
        prompt_for(" ... ")


@pytest.mark.parametrize(
    ("frames", "size", "overlap", "chunks"),
    [
        (210, 77, 1, 3),
        (77, 77, 1, 1),
        (78, 77, 1, 2),
        (93, 93, 1, 1),
        (185, 93, 1, 2),
        (277, 93, 1, 3),
        (278, 93, 1, 4),
        (5, 77, 1, 1),
        (165, 77, 5, 3),
    ],
)
def test_chunk_arithmetic(frames: int, size: int, overlap: int, chunks: int) -> None:
    assert chunk_count(frames, size, overlap) == chunks


def test_seeds_of_variants_never_meet() -> None:
    used = [spaced_seed(21, variant, 3) + chunk for variant in range(5) for chunk in range(3)]
    assert len(set(used)) == 15
    assert used[0] == 21


def line(**changes: Any) -> BatchLine:
    return BatchLine(**({"name": "s_1", "prompt": "Lift_the_red_cube_up", "input_path": "/a/b.mp4"} | changes))


def test_a_batch_line_has_the_tutorials_values() -> None:
    written = json.loads(line().line())
    assert written == {
        "name": "s_1",
        "inference_type": "video2world",
        "prompt": "Lift_the_red_cube_up",
        "input_path": "/a/b.mp4",
        "negative_prompt": TUTORIAL_NEGATIVE_PROMPT,
        "seed": 21,
        "guidance": 7,
        "resolution": "480,640",
        "num_output_frames": 210,
        "num_steps": 35,
        "enable_autoregressive": True,
        "chunk_size": 77,
        "chunk_overlap": 1,
    }
    assert TUTORIAL_NEGATIVE_PROMPT.startswith("The video captures a series of frames showing ugly scenes, static with")
    assert TUTORIAL_NEGATIVE_PROMPT.endswith("and flickering. Overall, the video is of poor quality.")
    assert "  " not in TUTORIAL_NEGATIVE_PROMPT
    assert line().line().count("\n") == 1
    assert (line().chunks, line().output_frames) == (3, 210)
    assert (line(enable_autoregressive=False).chunks, line(enable_autoregressive=False).output_frames) == (1, 93)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": 30},
        {"guidance": 8},
        {"guidance": 7.5},
        {"guidance": -1},
        {"resolution": "480x640"},
        {"resolution": "480,600"},
        {"resolution": "0,640"},
        {"name": "a/b"},
        {"name": "a.b"},
        {"name": ""},
        {"prompt": ""},
        {"prompt_path": "/x.txt"},
        {"input_path": None},
        {"input_path": "/a/b.MP4"},
        {"input_path": "~/b.mp4"},
        {"input_path": "/a/b.png"},
        {"num_output_frames": 0},
        {"num_steps": 0},
        {"chunk_size": 94},
        {"chunk_overlap": 77},
        {"chunk_overlap": 0},
        {"seed": -1},
        {"inference_type": "world2video"},
    ],
)
def test_lines_that_upstream_refuses_or_chokes_on(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        line(**changes)


def test_lines_that_upstream_takes() -> None:
    assert line(guidance=7.0).guidance == 7
    assert line(resolution="none").resolution == "none"
    assert line(inference_type="image2world", input_path="/a.png").chunks == 3
    assert line(inference_type="text2world", input_path=None).line()


def test_post_training_folder(tmp_path: Path) -> None:
    frames = np.zeros((95, 48, 64, 3), np.uint8)
    for name in ("a", "b"):
        frames += 9
        write_video(tmp_path / f"{name}.mp4", frames, 30)
    clips = [(tmp_path / "a.mp4", "Lift_the_red_cube_up"), (tmp_path / "b.mp4", "Put_it_down")]
    assert write_post_training(tmp_path / "out", clips) == 2
    files = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert files == ["metas/1.txt", "metas/2.txt", "videos/1.mp4", "videos/2.mp4"]
    assert (tmp_path / "out/metas/1.txt").read_text() == "Lift_the_red_cube_up"
    assert (tmp_path / "out/videos/2.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_cosmos_would_silently_replace_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", np.zeros((93, 48, 64, 3), np.uint8), 30)
    assert not trains(93)
    assert trains(94)
    with pytest.raises(VideoError, match="93 frames"):
        write_post_training(tmp_path / "out", [(tmp_path / "short.mp4", "x")])
    with pytest.raises(VideoError, match="cannot be opened"):
        write_post_training(tmp_path / "out", [(tmp_path / "none.mp4", "x")])
    with pytest.raises(InputError, match="no clip is longer"):
        write_post_training(tmp_path / "out", [])
