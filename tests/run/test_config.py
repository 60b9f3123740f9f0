"""Configuration: every error at once, unknown keys refused, amendments on purpose, a template that reads back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from leicos_jobs.core.digests import SEAL, sealed
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.core.workflow_size import LIMIT, ROUNDS, object_bytes
from leicos_jobs.run import layout
from leicos_jobs.run.config import PlanConfig, RunConfig, SourceConfig, load_config, parse_config
from leicos_jobs.run.opened import create_run, open_run
from leicos_jobs.run.samples import sample_id
from leicos_jobs.run.template import commented_yaml

CONFIG = RunConfig(source=SourceConfig(files=("a.hdf5",), task="Lift the red cube up."))
KNOWN = {"a.hdf5": "sha256:" + "a" * 64}


def test_five_errors_are_all_listed() -> None:
    text = """
    name: Not A Name
    source: {files: [], task: "x", robbot: so101}
    time: {control_hz: -60}
    generate: {frames: 3}
    """
    with pytest.raises(InputError) as caught:
        parse_config(text, "lift.yaml")
    message = str(caught.value)
    assert caught.value.exit_code is ExitCode.INPUT
    for field in ("name", "source.files", "source.robbot: unknown field", "time.control_hz", "generate.frames"):
        assert field in message
    assert "lift.yaml: 5 error(s)" in message


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "a: [unclosed",
        "42",
        "",
        "name: 2020-13-45",
        "name: " + "9" * 5000,
        "name: " + "[" * 2000,
        b"a: \xff",
    ],
)
def test_what_is_no_mapping_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match=r"x\.yaml"):
        parse_config(text, "x.yaml")


def test_values_that_run_json_could_not_hold_are_refused_by_name() -> None:
    """run.json must read back as what it was: no infinite numbers, dates or bytes, in settings neither."""
    text = """
    source: {files: [a], task: t}
    cost: {generate_seconds: .inf, dollars_per_hour: {train: .nan}}
    idm: {settings: {since: 2020-01-01}}
    """
    with pytest.raises(InputError, match=r"lift\.yaml: 3 error") as caught:
        parse_config(text, "lift.yaml")
    for field in ("cost.generate_seconds", "cost.dollars_per_hour.train", "idm.settings.since"):
        assert field in str(caught.value)


def test_relative_sources_resolve_against_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("source: {files: [d.hdf5, 's3://b/f/e.hdf5', 'run:source/f.hdf5'], task: t}")
    assert load_config(tmp_path / "c.yaml").source.files == (
        str(tmp_path / "d.hdf5"), "s3://b/f/e.hdf5", "run:source/f.hdf5",
    )  # fmt: skip


def test_the_commented_template_reads_back() -> None:
    assert parse_config(commented_yaml(CONFIG), "template") == CONFIG


def test_every_field_is_described() -> None:
    def walk(model: type) -> None:
        for name, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                walk(inner)
            else:
                assert field.description, f"{model.__name__}.{name}"

    walk(RunConfig)


def test_a_different_configuration_is_refused_unless_amended(tmp_path: Path) -> None:
    uri = str(tmp_path / "run")
    create_run(uri, CONFIG, known=KNOWN)
    create_run(uri, CONFIG, known=KNOWN)
    other = CONFIG.model_copy(update={"plan": CONFIG.plan.model_copy(update={"samples": 7})})
    with pytest.raises(InputError, match=r"plan\.samples: 64 there, 7 given"):
        create_run(uri, other, known=KNOWN)
    assert open_run(uri).config == CONFIG
    create_run(uri, other, amend=True, known=KNOWN)
    assert open_run(uri).config == other


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run"):
        open_run(str(tmp_path))


def test_sample_ids_depend_on_values_not_on_notation() -> None:
    assert sample_id({"seed": 21, "hz": 60.0}) == sample_id({"hz": 60, "seed": 21})
    assert sample_id({"seed": 21}) != sample_id({"seed": 22})
    assert len(sample_id({})) == 20


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('generate: {backend: mujoco, settings: {a: [b, "\\ud800"]}}', "generate.settings.a.1"),
        ('generate: {backend: mujoco, settings: {"x\\udfff": 1}}', "generate.settings"),
        ('generate: {backend: "\\udc00"}', "generate.backend"),
        ('name: a\ngate: {critic: {backend: x, min_scores: {a: 0.5}, settings: {b: "\\0"}}}', "gate.critic.settings.b"),
    ],
)
def test_what_is_no_text_is_refused_with_its_field(text: str, field: str) -> None:
    with pytest.raises(InputError, match=rf"lone surrogate\) in {re.escape(field)}"):
        parse_config(f"source: {{files: [a], task: t}}\n{text}", "c.yaml")


def sized(**changes: dict[str, int]) -> RunConfig:
    return parse_config(json.dumps({"source": {"files": ["a.hdf5"], "task": "Lift."}, **changes}), "lift.yaml")


@pytest.mark.parametrize("samples", [1, 64, 10_000, 300_000])
def test_plans_of_usual_sizes_fit_into_one_workflow(samples: int) -> None:
    config = sized(plan={"samples": samples})
    assert object_bytes(config.plan.workers, ROUNDS, 2 * config.replay.workers) <= LIMIT


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"plan": {"workers": 2000}}, r"set plan\.workers to at most 35\d"),
        ({"replay": {"workers": 4000}}, r"lower replay\.workers"),
    ],
)
def test_a_plan_whose_workflow_etcd_would_not_take_is_refused(changes: dict[str, dict[str, int]], fix: str) -> None:
    with pytest.raises(InputError, match=rf"etcd takes {LIMIT}, and a run must fit wherever[^\n]*\n  fix: {fix}"):
        sized(**changes)


def test_a_run_of_before_that_would_be_refused_now_can_be_opened(tmp_path: Path) -> None:
    large = CONFIG.model_copy(update={"plan": PlanConfig(samples=40_000, workers=2000)})
    create_run(str(tmp_path / "run"), large, known=KNOWN)
    assert open_run(str(tmp_path / "run")).config == large


FORMER_FIELDS = [("plan", "samples_per_shard"), ("plan", "min_shards"), ("plan", "max_shards")]
FORMER_FIELDS += [("replay", "samples_per_shard"), ("rounds", "shard_seconds")]


@pytest.mark.parametrize(("section", "name"), FORMER_FIELDS)
def test_a_field_of_a_former_version_is_refused_with_what_replaces_it(section: str, name: str) -> None:
    instead = {"plan": "plan.workers", "replay": "replay.workers", "rounds": "rounds.worker_seconds"}[section]
    with pytest.raises(InputError, match=rf"{section}\.{name}: there are no shards[^\n]*\n  fix: remove it; {instead}"):
        sized(**{section: {name: 20}})


def test_a_run_of_a_former_version_can_be_opened_and_goes_on(tmp_path: Path) -> None:
    made = create_run(str(tmp_path / "run"), CONFIG, known=KNOWN)
    written = json.loads(made.store.read(layout.RUN))
    del written[SEAL]
    for section, name in FORMER_FIELDS:
        written["config"][section][name] = 20
    made.store.put(layout.RUN, json.dumps(sealed(written)).encode())
    assert open_run(str(tmp_path / "run")).config == CONFIG
    assert create_run(str(tmp_path / "run"), CONFIG, known=KNOWN).config == CONFIG, "the same, so no --amend is asked"
