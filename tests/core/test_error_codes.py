"""Every error of the source has a code, and every code says what is wrong, where, why, and what to do."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.pages import ROOT

from leicos_jobs.core import error_codes
from leicos_jobs.core.error_codes import DEFECT, INPUT, code_of, code_of_module, entries
from leicos_jobs.core.errors import DISK_FULL, STOPPED, ExitCode, InputError, LeicosError, no_room

EXITS = {"InputError": ExitCode.INPUT, "RetryError": ExitCode.RETRY, "DefectError": ExitCode.DEFECT}


class Site(NamedTuple):
    """One place in the source that makes an error."""

    where: str
    module: str
    exit_: ExitCode
    fix: bool
    code: str | None


@cache
def kinds() -> dict[str, str]:
    """Name of every class of errors, and which of the three it is."""
    found = {name: name for name in EXITS}
    classes = [
        (node.name, base.id)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    ]
    for _ in range(3):
        found |= {name: found[base] for name, base in classes if base in found}
    return found


def sources() -> list[Path]:
    return [path for package in ("leicos_jobs", "hera_workflows") for path in sorted((ROOT / package).rglob("*.py"))]


@cache
def sites() -> list[Site]:
    made = []
    for path in sources():
        name = path.relative_to(ROOT).as_posix()
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds():
                given = {keyword.arg: keyword.value for keyword in node.keywords}
                code = given.get("code")
                named = {"STOPPED": STOPPED, "DISK_FULL": DISK_FULL}
                text = code.value if isinstance(code, ast.Constant) else named.get(getattr(code, "id", ""))
                exit_ = EXITS[kinds()[node.func.id]]
                made.append(Site(f"{name}:{node.lineno}", module, exit_, "fix" in given, text))
    return made


def test_every_error_of_the_source_has_a_code_that_can_end_so() -> None:
    assert len(sites()) > 400
    for site in sites():
        code = site.code or code_of_module(site.module)
        assert code in entries(), site
        assert site.exit_ in entries()[code].exits or site.exit_ is ExitCode.DEFECT, (site, code)


def test_no_code_is_named_that_does_not_exist_and_none_exists_for_nothing() -> None:
    used = {site.code or code_of_module(site.module) for site in sites()}
    by_class = {DEFECT, INPUT, "damaged"}
    assert used - set(entries()) == set()
    assert set(entries()) - used - by_class == set()


def test_every_module_that_a_code_names_exists() -> None:
    names = {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in sources()}
    for code, entry in entries().items():
        for prefix in entry.modules:
            assert any(name.startswith(prefix) for name in names), (code, prefix)


@pytest.mark.parametrize("code", entries())
def test_a_code_says_what_where_why_and_the_fix(code: str) -> None:
    entry = entries()[code]
    for text in (entry.what, entry.where, entry.why, entry.fix):
        assert len(text) > 20
        assert text.endswith(".")
    for page in (word.strip(".,;") for word in entry.fix.split() if word.startswith("docs/")):
        assert (ROOT / page).is_file(), page


def test_an_error_has_the_code_of_the_innermost_module_or_its_own(tmp_path: Path) -> None:
    from leicos_jobs.run.config import parse_config
    from leicos_jobs.run.opened import open_run

    with pytest.raises(InputError) as wrong:
        parse_config("{source: {files: [a], task: t}, colour: red}", "here")
    with pytest.raises(InputError) as none:
        open_run(str(tmp_path))
    assert (code_of(wrong.value), code_of(none.value)) == ("config", "run")
    assert code_of(LeicosError("x", code="damaged")) == "damaged"
    assert (code_of(InputError("x")), code_of(LeicosError("x"))) == (INPUT, DEFECT)
    assert code_of(ValueError("nobody foresaw it")) == DEFECT
    full = no_room(OSError(28, "No space left on device"))
    assert full is not None
    assert code_of(full) == DISK_FULL


def test_the_longest_beginning_decides() -> None:
    assert code_of_module("leicos_jobs.backends.cosmos_predict25.jobs") == "cosmos-predict2.5"
    assert code_of_module("leicos_jobs.backends.cosmos.weights") == "cosmos"
    assert code_of_module("leicos_jobs.inspect.robots") == "robot"
    assert code_of_module("numpy") is None
    assert error_codes.with_exit("75")[:2] == [STOPPED, DISK_FULL]
    assert error_codes.with_exit("disk") == []
