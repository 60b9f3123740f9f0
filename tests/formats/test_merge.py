"""Datasets merged: every row, frame, task, statistic and origin of the sources is there once, under its new number."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.cli.main import main
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.convert.merge import merge
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.formats import lerobot_stats
from leicos_jobs.formats.episode_starts import read_starts
from leicos_jobs.formats.lerobot_v30 import export_v30
from leicos_jobs.inspect.facts import DatasetFacts, inspect
from leicos_jobs.media import decode

LIFT, PLACE = "Lift the red cube up.", "Put it down."


def dataset(folder: Path, rows: tuple[int, ...], task: str = LIFT, cameras: tuple[str, ...] = ("front",)) -> Path:
    """A v2.1 dataset below `folder`, whose demos all differ from those of other folders' lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    specs = [DemoSpec(rows=count, number=count, cameras=cameras) for count in rows]
    source = write_recording(folder / "demos.hdf5", specs)
    convert([source], folder / "data", ConvertOptions(SO101, task, cameras=cameras, control_hz=60, workers=1))
    return folder / "data"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three of v2.1, with two tasks in another order each."""
    root = tmp_path_factory.mktemp("sources")
    return [dataset(root / "a", (30, 34)), dataset(root / "b", (36,), PLACE), dataset(root / "c", (38, 40, 42))]


@pytest.fixture(scope="module")
def exported(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same of v3.0; the last in a file per episode."""
    root = tmp_path_factory.mktemp("exported")
    for number, source in enumerate(sources):
        export_v30(source, root / f"{number}", video_mb=0 if number == 2 else 200)
    return [root / f"{number}" for number in range(len(sources))]


def problems(root: Path) -> tuple[str, ...]:
    found = inspect(root)
    assert isinstance(found, DatasetFacts)
    return tuple(found.problems)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths]


def digests(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def rows(root: Path) -> pd.DataFrame:
    files = sorted((root / "data").rglob("*.parquet"))
    tables = [pd.read_parquet(path) for path in files]
    return pd.concat(tables, ignore_index=True)


def texts(root: Path) -> dict[int, str]:
    if (root / "meta/tasks.jsonl").is_file():
        return {line["task_index"]: line["task"] for line in lines(root / "meta/tasks.jsonl")}
    return {int(index): str(text) for text, index in pd.read_parquet(root / "meta/tasks.parquet")["task_index"].items()}


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding a frame fails the test."""

    def refuse(path: Path, **_: Any) -> None:
        raise AssertionError(f"{path} was decoded")

    monkeypatch.setattr(decode, "decode_frames", refuse)


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_every_row_is_there_once_and_nothing_is_decoded(
    version: str, sources: list[Path], exported: list[Path], tmp_path: Path
) -> None:
    given = sources if version == "v2.1" else exported
    info = merge(names(given), str(tmp_path / "out"))
    assert (info["codebase_version"], info["total_episodes"], info["total_tasks"]) == (version, 6, 2)
    before, after = [rows(source) for source in given], rows(tmp_path / "out")
    assert len(after) == info["total_frames"] == sum(map(len, before))
    assert after["index"].tolist() == list(range(len(after)))
    assert texts(tmp_path / "out") == {0: LIFT, 1: PLACE}
    begin = episodes = 0
    for source, table in zip(given, before, strict=True):
        part = after.iloc[begin : begin + len(table)].reset_index(drop=True)
        for key in ("action", "observation.state"):
            assert np.array_equal(np.stack(part[key]), np.stack(table[key]))
        assert part["timestamp"].equals(table["timestamp"])
        assert part["frame_index"].equals(table["frame_index"])
        assert (part["episode_index"] - table["episode_index"] == episodes).all()
        tasks = texts(source)
        assert part["task_index"].map(texts(tmp_path / "out")).equals(table["task_index"].map(tasks))
        begin, episodes = begin + len(table), episodes + int(table["episode_index"].max()) + 1


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_videos_are_copied_byte_for_byte_and_the_whole_is_sound(
    version: str, sources: list[Path], exported: list[Path], tmp_path: Path
) -> None:
    given = sources if version == "v2.1" else exported
    merge(names(given), str(tmp_path / "out"))
    videos = [path for source in given for path in sorted((source / "videos").rglob("*.mp4"))]
    assert digests(sorted((tmp_path / "out/videos").rglob("*.mp4"))) == digests(videos)
    assert problems(tmp_path / "out") == ()


def test_statistics_are_those_of_one_dataset_with_all_episodes(
    sources: list[Path], exported: list[Path], tmp_path: Path
) -> None:
    merge(names(sources), str(tmp_path / "v21"))
    export_v30(tmp_path / "v21", tmp_path / "whole")
    merge(names(exported), str(tmp_path / "merged"))
    whole, merged = (json.loads((tmp_path / name / "meta/stats.json").read_text()) for name in ("whole", "merged"))
    assert whole.keys() == merged.keys()
    front = "observation.images.front"  # the export measures its decoded frames, the episodes' are of the recording
    pictures = [line["stats"][front] for line in lines(tmp_path / "v21/meta/episodes_stats.jsonl")]
    whole[front] |= {"min": np.min([one["min"] for one in pictures], axis=0)}
    whole[front] |= {"max": np.max([one["max"] for one in pictures], axis=0)}
    counts = [one["count"][0] for one in pictures]
    whole[front]["mean"] = np.average([one["mean"] for one in pictures], axis=0, weights=counts)
    whole[front]["std"] = merged[front]["std"]  # of all rows below, in `aggregate`'s own test
    for name, parts in whole.items():
        for key in ("min", "max", "mean", "std", "count"):
            np.testing.assert_allclose(merged[name][key], parts[key], rtol=1e-6, atol=1e-6, err_msg=f"{name} {key}")
        for key in ("q01", "q10", "q50", "q90", "q99"):  # means of the episodes': between their least and largest
            slack = 0.05 if name == front else 1e-9
            assert (np.array(merged[name]["min"]) <= np.array(merged[name][key]) + slack).all()
            assert (np.array(merged[name][key]) <= np.array(merged[name]["max"]) + slack).all()
    one, other = (
        pd.read_parquet(next((tmp_path / name / "meta/episodes").rglob("*.parquet"))) for name in ("whole", "merged")
    )
    for name in ("index", "episode_index", "task_index"):
        for key in ("min", "max", "mean", "std", "count", "q50"):
            column = f"stats/{name}/{key}"
            np.testing.assert_allclose(np.stack(other[column]), np.stack(one[column]), atol=1e-9, err_msg=column)


def test_gr00ts_files_are_those_of_all_rows(sources: list[Path], tmp_path: Path) -> None:
    merge(names(sources), str(tmp_path / "out"))
    assert (tmp_path / "out/meta/modality.json").read_text() == (sources[0] / "meta/modality.json").read_text()
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    actions = np.stack(rows(tmp_path / "out")["action"]).astype(np.float64)
    np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stats["action"]["q99"], np.quantile(actions, 0.99, axis=0), rtol=1e-5, atol=1e-5)


def test_each_episode_keeps_its_origin_its_start_and_its_first_dataset(sources: list[Path], tmp_path: Path) -> None:
    merge(names(sources[:2]), str(tmp_path / "first"))
    merge([str(tmp_path / "first"), str(sources[2])], str(tmp_path / "out"))
    meta = tmp_path / "out/meta/leicos"
    wanted = [(str(source), index) for source in sources for index in range(len(lines(source / "meta/episodes.jsonl")))]
    merged = lines(meta / "merged.jsonl")
    assert [(line["dataset"], line["dataset_episode"]) for line in merged] == wanted
    for name in ("origins.jsonl", "episodes.jsonl", "starts.jsonl"):
        found = {line.pop("episode_index"): line for line in lines(meta / name)}
        for number, (source, index) in enumerate(wanted):
            (line,) = [line for line in lines(Path(source) / "meta/leicos" / name) if line["episode_index"] == index]
            assert found[number] == {key: value for key, value in line.items() if key != "episode_index"}
    assert read_starts(tmp_path / "out")[5].state == read_starts(sources[2])[2].state


def test_v2_and_v3_become_v3_and_no_video_is_decoded_twice(
    sources: list[Path], exported: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[str] = Counter()
    real: Callable[..., Any] = decode.decode_frames

    def counting(path: Path, **options: Any) -> Any:
        decoded[str(path)] += 1
        return real(path, **options)

    monkeypatch.setattr(decode, "decode_frames", counting)
    info = merge([str(sources[0]), str(exported[2])], str(tmp_path / "out"))
    monkeypatch.setattr(decode, "decode_frames", real)
    assert (info["codebase_version"], info["total_episodes"]) == ("v3.0", 5)
    assert set(decoded.values()) == {1}
    assert set(decoded) == {str(path) for path in sources[0].rglob("*.mp4")}
    assert problems(tmp_path / "out") == ()


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_v20_gets_the_statistics_that_it_lacks(version: str, sources: list[Path], tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(sources[1], old)
    stats = lines(old / "meta/episodes_stats.jsonl")
    (old / "meta/episodes_stats.jsonl").unlink()
    info = json.loads((old / "meta/info.json").read_text())
    (old / "meta/info.json").write_text(json.dumps(info | {"codebase_version": "v2.0"}))
    merge([str(old), str(sources[0])], str(tmp_path / "out"), version=version)
    assert problems(tmp_path / "out") == ()
    if version == "v2.1":
        found = lines(tmp_path / "out/meta/episodes_stats.jsonl")[0]["stats"]
        pictures = [one.pop("observation.images.front") for one in (found, stats[0]["stats"])]
        assert found == stats[0]["stats"]
        for key in ("min", "max", "mean", "std", "count"):  # of decoded frames here
            np.testing.assert_allclose(pictures[0][key], pictures[1][key], atol=0.05)


def test_where_codecs_differ_the_merged_dataset_claims_none(sources: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(sources[1], other)
    info = json.loads((other / "meta/info.json").read_text())
    info["features"]["observation.images.front"]["info"]["video.codec"] = "av1"
    (other / "meta/info.json").write_text(json.dumps(info))
    merge([str(sources[0]), str(other)], str(tmp_path / "out"))
    said = json.loads((tmp_path / "out/meta/info.json").read_text())["features"]["observation.images.front"]["info"]
    assert "video.codec" not in said
    assert said["video.pix_fmt"] == "yuv420p"
    assert problems(tmp_path / "out") == ()


def rewritten(source: Path, target: Path, change: Callable[[dict[str, Any]], Any], name: str = "info.json") -> Path:
    shutil.copytree(source, target)
    value = json.loads((target / "meta" / name).read_text())
    change(value)
    (target / "meta" / name).write_text(json.dumps(value))
    return target


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda info: info.update(fps=25), "differ in fps: 30 there, 25 here"),
        (lambda info: info.update(robot_type="lekiwi"), "differ in robot_type: 'so101_follower' there, 'lekiwi' here"),
        (lambda info: info["features"]["action"]["names"].reverse(), "differ in features.action.names"),
        (lambda info: info["features"]["observation.images.front"].update(shape=[96, 64, 3]), "images.front.shape"),
        (lambda info: info["features"].pop("observation.images.front"), "differ in features: "),
    ],
)
def test_what_differs_is_refused_with_the_names_of_both_files(
    change: Callable[[dict[str, Any]], Any], said: str, sources: list[Path], tmp_path: Path
) -> None:
    other = rewritten(sources[0], tmp_path / "other", change)
    with pytest.raises(InputError) as told:
        merge(names([sources[0], other]), str(tmp_path / "out"))
    assert said in str(told.value)
    assert f"{sources[0]}/meta/info.json and {other}/meta/info.json" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_another_modality_is_refused(sources: list[Path], tmp_path: Path) -> None:
    other = rewritten(sources[0], tmp_path / "other", lambda value: value["state"].popitem(), "modality.json")
    with pytest.raises(InputError, match=r"modality\.json and .*/other/meta/modality\.json differ"):
        merge(names([sources[0], other]), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def damaged(root: Path, what: str) -> str:
    """Damage a copy; returns what the error must say."""
    if what == "video":
        video = sorted(root.rglob("*.mp4"))[-1]
        video.unlink()
        return f"{video}: no such file"
    if what == "rows":
        table = sorted(root.rglob("data/**/*.parquet"))[-1]
        pd.read_parquet(table).iloc[:-1].to_parquet(table)
        return f"{table}: has "
    (path,) = (root / "meta").glob("tasks.*")
    if path.suffix == ".jsonl":
        path.write_text(json.dumps({"task_index": 7, "task": LIFT}) + "\n")
    else:
        frame = pd.read_parquet(path)
        frame["task_index"] = 7
        frame.to_parquet(path)
    return "task_index 0 is in no list of tasks"


@pytest.mark.parametrize("what", ["video", "rows", "task"])
@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_damaged_source_is_named_and_nothing_stays(
    version: str, what: str, sources: list[Path], exported: list[Path], tmp_path: Path
) -> None:
    given = sources if version == "v2.1" else exported
    other = tmp_path / "other"
    shutil.copytree(given[0], other)
    said = damaged(other, what)
    with pytest.raises(InputError) as told:
        merge(names([given[1], other]), str(tmp_path / "out"))
    assert said in str(told.value)
    assert not (tmp_path / "out").exists()


def leicos(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def test_the_command_merges_and_refuses_what_is_there(
    sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert leicos("merge", *sources, "--out", out) == ExitCode.DONE
    assert "6 episodes" in capsys.readouterr().out
    assert leicos("merge", *sources, "--out", out) == ExitCode.INPUT
    assert "is not empty" in capsys.readouterr().err
    assert problems(out) == ()
    assert leicos("merge", sources[0], "--out", tmp_path / "new") == ExitCode.INPUT
    assert "two datasets or more" in capsys.readouterr().err
    assert leicos("merge", sources[0], tmp_path / "nothing", "--out", tmp_path / "new") == ExitCode.INPUT
    assert "is neither a LeRobot dataset nor a run" in capsys.readouterr().err


def test_v3_is_not_merged_into_v2(exported: list[Path], sources: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is LeRobot v3\.0, not v2\.1"):
        merge(names([sources[0], exported[1]]), str(tmp_path / "out"), version="v2.1")
    assert not (tmp_path / "out").exists()


def test_from_s3_and_to_s3(sources: list[Path], tmp_path: Path, s3_environment: Any) -> None:
    from leicos_jobs.store import open_store

    base = f"s3://{s3_environment.bucket}/{tmp_path.name}"
    merge(names(sources[:2]), f"{base}/first")
    merge([f"{base}/first", str(sources[2])], f"{base}/out")
    merge(names(sources), str(tmp_path / "here"))
    store = open_store(f"{base}/out")
    here = {path.relative_to(tmp_path / "here").as_posix() for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert set(store.list("")) == here
    for key in here - {"meta/leicos/merged.jsonl"}:
        assert store.read(key) == (tmp_path / "here" / key).read_bytes(), key
    with pytest.raises(InputError, match="is not empty"):
        merge(names(sources), f"{base}/out")


def test_aggregated_statistics_are_those_of_all_rows() -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(number, 1 + number, (10 * (number + 1), 3)) for number in range(4)]
    stats = [lerobot_stats.column_stats(part) for part in parts]
    columns = {key: np.array([one[key] for one in stats], dtype=np.float64) for key in stats[0]}
    whole = lerobot_stats.column_stats(np.concatenate(parts))
    for key, value in lerobot_stats.aggregate([columns]).items():
        np.testing.assert_allclose(value, whole[key], rtol=1e-12, err_msg=key)
