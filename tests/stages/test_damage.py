"""One object of every kind cut, edited, exchanged or removed: `leicos check` names it; a run to the end notices it or
is not changed by it; after `--repair` the run becomes what it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.forking_leicos import Server
from helpers.identity import environment, plugins, write_config
from helpers.plots import SPARE
from stages.conftest import snapshot

from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures
from leicos_jobs.run.check import CACHES, check
from leicos_jobs.run.layout import is_claim
from leicos_jobs.run.opened import open_run
from leicos_jobs.run.results import Results, read_states

pytestmark = pytest.mark.xdist_group("damaged-run")
KINDS = {
    "run.json": "run.json",
    "the record of the dataset": "records/convert/*.json",
    "the dataset's map": "dataset/*/meta/leicos/episodes.jsonl",
    "the dataset's origins": "dataset/*/meta/leicos/origins.jsonl",
    "the dataset's rows": "dataset/*/data/**/*.parquet",
    "the dataset's videos": "dataset/*/videos/**/*.mp4",
    "the folder of post-training": "cosmos/dataset/*/videos/*.mp4",
    "its prompts": "cosmos/dataset/*/metas/*.txt",
    "the record of post-training": "records/post-train/*.json",
    "the checkpoint": "cosmos/checkpoint/*/*.bin",
    "the IDM's weights": "idm/*/*.bin",
    "the IDM's description": "idm/*/artifact.json",
    "labels of real videos": "idm/*/held_out/*.parquet",
    "the plan": "plan/*/samples.jsonl",
    "the plan's record": "records/plan/*.json",
    "a start": "starts/*.json",
    "a clip": "starts/*/*.mp4",
    "a video": "generate/*/*.mp4",
    "a video's record": "generate/*/*.json",
    "a verdict": "gate/*/*.json",
    "labels": "label/*/*.parquet",
    "the record of labels": "label/*/*.json",
    "a replay": "replay/*/*.json",
    "a truth": "truth/*/*.parquet",
    "a failure": "failures/*/*/*.json",
    "controls": "controls/*/*.json",
    "replays of demos": "demos/*/controls.json",
    "decisions": "curate/*/curated.jsonl",
    "the synthetic rows": "synthetic/*/data/**/*.parquet",
    "the report": "report/*/index.html",
}


def flip(path: Path, _other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path, _other: Path) -> None:
    data = path.read_bytes()
    end = data[: len(data) // 2].rfind(b"\n") + 1
    path.write_bytes(data[: end or len(data) // 2])


def remove(path: Path, _other: Path) -> None:
    path.unlink()


def exchange(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


def edit(path: Path, _other: Path) -> None:
    """Another digit in the middle: JSON stays JSON, and says something else."""
    data = path.read_bytes()
    digits = [place for place in range(len(data)) if data[place : place + 1].isdigit()]
    place = digits[len(digits) // 2] if digits else 0
    path.write_bytes(data[:place] + str((data[place] + 1) % 10).encode() + data[place + 1 :])


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "flipped": flip, "cut": cut, "removed": remove, "exchanged": exchange, "edited": edit,
}  # fmt: skip
NEVER_MISSED = ("run.json", *(name for name, pattern in KINDS.items() if pattern.endswith(".json")))
"""Records: where one is removed, its work is simply to do again."""


def objects(root: Path, pattern: str) -> list[Path]:
    found = [path for path in sorted(root.glob(pattern)) if "latest" not in path.parts and path.is_file()]
    assert found, f"the run has no {pattern}"
    return found


def cases() -> Iterator[tuple[str, str]]:
    for name, pattern in KINDS.items():
        for way in WAYS:
            if way == "exchanged" and pattern.count("*") < 2 and not pattern.startswith(("records", "starts")):
                continue
            if way == "edited" and not pattern.endswith((".json", ".jsonl", ".txt")):
                continue
            yield name, way


def damage(root: Path, name: str, way: str, first: str = "") -> Path:
    """Damage one object of a kind: the one whose path contains `first`, if any does."""
    found = sorted(objects(root, KINDS[name]), key=lambda path: (first not in path.as_posix(), path))
    others = [path for path in found[1:] if path.read_bytes() != found[0].read_bytes()]
    other = others[0] if others else objects(root, "records/*/*.json")[-1]
    WAYS[way](found[0], other)
    return found[0]


class Leicos:
    """`leicos run` of one configuration, into any root."""

    def __init__(self, config: Path, server: Server) -> None:
        self.config, self.server = config, server

    def run(self, root: Path, log: Path) -> int:
        return self.server.run("run", str(self.config), "--out", str(root), "--workers", "2", log=log)

    def finish(self, root: Path, log: Path) -> None:
        assert self.run(root, log) == 0, log.read_text()[-3000:]


@pytest.fixture(scope="module")
def leicos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leicos]:
    config = write_config(tmp_path_factory.mktemp("damage"), demos=3, samples=6, workers=2, trained=True)
    server = Server(environment(SPARE))
    with plugins():
        yield Leicos(config, server)
    server.close()


@pytest.fixture(scope="module")
def undisturbed(leicos: Leicos) -> Path:
    """A whole run that nothing disturbed, with a failure that was overcome."""
    root = leicos.config.with_name("undisturbed")
    leicos.finish(root, root.with_suffix(".log"))
    opened = open_run(str(root))
    state = read_states(opened, Results(opened).samples()[:1])[0]
    assert state.label is not None
    note = failures.Failure(stage="label", sample=state.sample.id, key=state.label.key, kind="failed", error="unlucky")
    failures.note(opened.store, note, unique="x")
    return root


@pytest.fixture(scope="module")
def copied(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damage") / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    return root


@pytest.mark.parametrize(("name", "way"), list(cases()))
def test_check_names_what_is_damaged(copied: Path, name: str, way: str) -> None:
    path = objects(copied, KINDS[name])[0]
    before = path.read_bytes()
    damage(copied, name, way)
    try:
        if name == "run.json" and way == "removed":
            with pytest.raises(InputError, match=r"no run\.json"):
                check(str(copied))
            return
        found = {item.key for item in check(str(copied)).damaged}
    finally:
        path.write_bytes(before)
    key = path.relative_to(copied).as_posix()
    nothing_lost = name in NEVER_MISSED and not key.startswith(("demos", "idm", "starts"))
    if way == "removed" and nothing_lost:
        assert found == set()
    else:
        assert found == {key}


def test_check_of_a_sound_run_finds_nothing_and_reads_every_object(copied: Path) -> None:
    result = check(str(copied))
    keys = [path.relative_to(copied) for path in copied.rglob("*") if path.is_file() and ".partial" not in path.parts]
    counted = {key for key in keys if key.parts[0] not in CACHES and "latest" not in key.parts}
    counted = {key for key in counted if not is_claim(key.as_posix())}  # nothing rests on them
    assert result.damaged == ()
    assert result.objects + result.uncounted == len(counted)
    assert result.uncounted == 0


@pytest.mark.parametrize("name", ["a start", "a video", "labels", "decisions", "the plan"])
def test_what_is_repaired_is_done_again_and_the_run_is_what_it_was(
    undisturbed: Path, leicos: Leicos, tmp_path: Path, name: str
) -> None:
    root = tmp_path / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    key = damage(root, name, "flipped").relative_to(root).as_posix()
    result = check(str(root), repair=True)
    assert [item.key for item in result.damaged] == [key]
    leicos.finish(root, tmp_path / "log")
    assert check(str(root)).damaged == ()
    assert snapshot(root) == snapshot(undisturbed)


LATE = ("replay-demos", "curate", "assemble", "report")
EARLIER = {"cosmos/dataset": ("post-train",), "dataset": ("cosmos-dataset", "plan", "train-idm")}
"""Where an object lies -> stages that read it and are done again as well."""


def undone(root: Path, pattern: str) -> str:
    """Remove what the last stages made, and all that was made of half the samples; returns a start of one of these."""
    earlier = [stages for place, stages in EARLIER.items() if pattern.startswith(f"{place}/")]
    samples = Results(open_run(str(root))).samples()
    for stage in (*LATE, *sum(earlier, ())):
        shutil.rmtree(root / "records" / stage)
    for sample in samples[len(samples) // 2 :]:
        for stage in ("generate", "gate", "label", "replay", "controls", "truth"):
            shutil.rmtree(root / stage / sample.id)
    return samples[-1].start


@pytest.mark.soak
@pytest.mark.parametrize(("name", "way"), sorted(cases(), key=lambda case: tuple(WAYS).index(case[1])))
def test_a_run_to_the_end_notices_damage_or_is_not_changed(
    undisturbed: Path, leicos: Leicos, tmp_path: Path, name: str, way: str
) -> None:
    """The last stages, all of half the samples, and what else reads the object, are done again over the damage."""
    root, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(undisturbed, root, symlinks=True)
    begun = undone(root, KINDS[name])
    key = damage(root, name, way, begun).relative_to(root).as_posix()
    code = leicos.run(root, log)
    text = log.read_text()
    print(f"{name}, {way}: {code}")
    if code == 0:
        assert snapshot(root) == snapshot(undisturbed)
        return
    assert code == 78, text[-3000:]
    assert key in text, text[-3000:]
    assert key in {item.key for item in check(str(root), repair=True).damaged}
    if way == "flipped":  # the way back is the same for each
        leicos.finish(root, log)
        assert snapshot(root) == snapshot(undisturbed)


def test_an_edited_record_is_noticed_by_who_reads_it(undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(undisturbed, root, symlinks=True)
    path = objects(root, "replay/*/*.json")[0]
    record = json.loads(path.read_text())
    record["facts"]["metrics"]["success"] = not record["facts"]["metrics"]["success"]
    path.write_text(json.dumps(record))
    (damaged,) = check(str(root)).damaged
    assert damaged.key == path.relative_to(root).as_posix()
    assert "its own digest" in damaged.what
