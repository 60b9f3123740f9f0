"""The real backends can be configured from what is shipped: examples that parse, init with backends, the schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends import registry
from leicos_jobs.cli.main import cli
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import load_config, parse_config
from leicos_jobs.run.schema import SECTIONS, schema

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_configuration_that_start_takes(path: Path) -> None:
    check_backends(load_config(path))


def test_the_tutorial_is_the_tutorials() -> None:
    config = load_config(EXAMPLES[0].with_name("tutorial.yaml"))
    named = (config.generate.backend, config.idm.backend, config.replay.backend)
    assert named == ("cosmos-predict2.5", "gr00t-dreams", "isaac-sim")
    assert (config.generate.width, config.generate.height, config.generate.frames) == (640, 480, 210)


def test_init_writes_any_backend_with_all_its_settings(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "demos.hdf5", [DemoSpec(rows=60, number=n, seed=n) for n in range(3)])
    chosen = ["generate=cosmos-predict2.5", "idm=gr00t-dreams", "replay=isaac-sim"]
    options = [text for name in chosen for text in ("--backend", name)]
    result = CliRunner().invoke(cli, ["init", str(source), "--task", "Lift the cube.", *options])
    assert result.exit_code == 0, result.output
    config = parse_config(result.stdout, "init")
    check_backends(config)
    assert (config.generate.backend, config.idm.backend, config.replay.backend) == tuple(
        name.partition("=")[2] for name in chosen
    )
    for kind, name in (("generate", "cosmos-predict2.5"), ("train", "gr00t-dreams"), ("replay", "isaac-sim")):
        for field in registry.load(kind, name).Settings.model_fields:  # type: ignore[call-overload]
            assert f"#   {field}: " in result.stdout, (name, field)


@pytest.mark.parametrize("option", ["generator=cosmos", "generate=nobody"])
def test_a_backend_that_cannot_be_is_refused_by_name(tmp_path: Path, option: str) -> None:
    source = write_recording(tmp_path / "demos.hdf5", [DemoSpec(rows=60, number=n, seed=n) for n in range(3)])
    result = CliRunner().invoke(cli, ["init", str(source), "--task", "Lift the cube.", "--backend", option])
    assert isinstance(result.exception, InputError)
    assert option.partition("=")[0 if "generator" in option else 2] in str(result.exception)


def test_the_schema_has_the_settings_of_every_installed_backend() -> None:
    made = json.loads(schema())
    for section, kind in SECTIONS.items():
        rules = made["$defs"][section.__name__].get("allOf", []) if section.__name__ in made["$defs"] else []
        named = {rule["if"]["properties"]["backend"]["const"]: rule for rule in rules}
        assert sorted(named) == registry.installed(kind)
        for name, rule in named.items():
            place = rule["then"]["properties"]["settings"]["$ref"].removeprefix("#/$defs/")
            assert set(made["$defs"][place]["properties"]) == set(registry.load(kind, name).Settings.model_fields)


def test_a_validator_finds_a_misspelt_setting_by_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(schema()))
    base = {"source": {"files": ["a.hdf5"], "task": "Lift."}}
    assert validator.is_valid(base | {"generate": {"backend": "cosmos-predict2.5", "settings": {"guidance": 5}}})
    assert not validator.is_valid(base | {"generate": {"backend": "cosmos-predict2.5", "settings": {"guidanse": 5}}})
    assert not validator.is_valid(base | {"idm": {"backend": "gr00t-dreams"}, "label": {"settings": {"precison": 1}}})
