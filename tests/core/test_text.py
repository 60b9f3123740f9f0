"""Text of people and of foreign files: what is read, what is refused by name, and nothing that takes for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leicos_jobs.backends.imported import ImportGenerator, ImportSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import (
    decoded,
    from_json,
    json_line,
    json_lines,
    printable,
    require_sentence,
    sentence_problem,
)
from leicos_jobs.core.validation import parsed_json
from leicos_jobs.core.yaml_text import documents
from leicos_jobs.run.config import parse_config

CONFIG = "source: {files: [a.hdf5], task: %s}\n"


def bomb(of: str, closed: str) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        again = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {of}{again}{closed}")
    return "\n".join(lines)


ENDLESS = {
    "aliases of aliases": bomb("[", "]"),
    "merges of merges": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)),
    "a ladder of aliases": "\n".join(["- &a0 []", *(f"- &a{n} [*a{n - 1}]" for n in range(1, 3000))]),
    "itself": "a: &a [*a]",
    "brackets": "a: " + "[" * 100_000,
    "braces": "a: " + "{a: " * 20_000,
    "a number in hexadecimal": "a: 0x" + "f" * 100_000,
    "a number of base sixty": "a: 1" + ":01" * 100_000,
    "a number of many digits": "a: " + "9" * 100_000,
    "a date that is none": "a: 2020-99-99",
    "a tag over another kind": "a: !!timestamp x",
    "a truth that is none": "a: !!bool perhaps",
    "an empty number": "a: !!int ''",
    "a large text": "a: " + "x" * 3_000_000,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_yaml_that_would_not_end_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=r"^lift\.yaml: ") as caught:
        documents(ENDLESS[name], "lift.yaml")
    assert caught.value.fix
    with pytest.raises(InputError, match=r"^lift\.yaml: "):
        parse_config(ENDLESS[name].encode(), "lift.yaml")


def test_aliases_of_usual_size_are_written_out() -> None:
    text = "base: &base {frames: 50}\nall: [*base, *base, {<<: *base, width: 64}]"
    assert documents(text, "a.yaml")[0]["all"] == [{"frames": 50}, {"frames": 50}, {"frames": 50, "width": 64}]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{", "\ufeff[", "nope"])
def test_json_that_is_absurd_is_refused_by_name(text: str) -> None:
    for read in (from_json, parsed_json):
        with pytest.raises(InputError, match=r"info\.json"):
            read(text.encode(), "info.json", "write it again")


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1e", "\r"])
def test_lines_of_json_end_at_line_feeds_alone(letter: str) -> None:
    values = [{"task": f"Lift.{letter}Put it down."}, {"task": "b"}]
    data = "".join(map(json_line, values)).encode()
    assert [value for _, value in json_lines(data, "tasks.jsonl", "fix")] == values


@pytest.mark.parametrize("task", ["", "   ", "\u00a0\u2003", "Lift.\x0bPut.", "a\x1b[31m", "a\u0085b", "a\x00b", "a\r"])
def test_a_task_that_is_blank_or_holds_control_characters_is_refused(task: str) -> None:
    assert sentence_problem(task)
    with pytest.raises(InputError, match=r"^--task "):
        require_sentence(task, "--task")
    with pytest.raises(InputError, match=r"source\.task"):
        parse_config(CONFIG % json.dumps(task), "lift.yaml")


@pytest.mark.parametrize(
    "task", ["Lift.\u2028Put it down.", 'the "red" cube,\nthen \\ it', "举起方块 👍", "a: {b}", "'"]
)
def test_any_other_task_is_taken_as_it_is(task: str) -> None:
    assert sentence_problem(task) is None
    assert parse_config(CONFIG % json.dumps(task, ensure_ascii=False), "lift.yaml").source.task == task


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    text = CONFIG % "Lift."
    for data in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):
        assert parse_config(data, "lift.yaml").source.task == "Lift."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_named(encoding: str) -> None:
    data = (CONFIG % "Größe").encode(encoding)
    for read in (decoded, parse_config):
        with pytest.raises(InputError, match=r"lift\.yaml: is .*UTF") as caught:
            read(data, "lift.yaml")
        assert "UTF-8" in str(caught.value.fix)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_map_of_imported_videos_is_read_as_windows_writes_it(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    line = json.dumps({"file": "a.mp4", "demo": "demo_0", "row0": 5, "seed": 21})
    (tmp_path / "videos.jsonl").write_bytes(f"{line}\r\n\r\n".encode(encoding))
    found = ImportGenerator(ImportSettings(folder=tmp_path), None, tmp_path)
    assert list(found.videos.values()) == [tmp_path / "a.mp4"]
    (tmp_path / "videos.jsonl").write_bytes(line.encode("utf-16"))
    with pytest.raises(InputError, match=r"videos\.jsonl: is UTF-16"):
        ImportGenerator(ImportSettings(folder=tmp_path), None, tmp_path)


def test_a_foreign_name_cannot_speak_to_the_terminal() -> None:
    assert printable("a\x1b[31m\udcff") == "a\\x1b[31m\\udcff"
    assert len(printable("9" * 6000)) < 120
