"""A task is a file: what its rule means, what a wrong one is told, and that no code knows a task by name."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import leicos_jobs
from leicos_jobs.backends import registry
from leicos_jobs.core.errors import InputError
from leicos_jobs.tasks.data import DEFAULT
from leicos_jobs.tasks.rule import Judge, Rule
from leicos_jobs.tasks.task import parse, shipped, task_named

ROOT = Path(leicos_jobs.__file__).parent
OTHER = next(name for name in shipped() if name != DEFAULT)
KNOW = (("tasks", "data"), ("backends", "isaac"), ("backends", "cosmos_predict25"))
START = (0.2, 0.0, 0.015)
RULES: dict[str, tuple[dict[str, Any], tuple[float, float, float], tuple[float, float, float]]] = {
    "above": ({"above": 0.1}, (0.2, 0.0, 0.11), (0.2, 0.0, 0.09)),
    "below": ({"below": 0.1}, (0.2, 0.0, 0.09), (0.2, 0.0, 0.11)),
    "lifted": ({"lifted": 0.05}, (0.2, 0.0, 0.066), (0.2, 0.0, 0.064)),
    "moved": ({"moved": 0.05}, (0.24, 0.04, 0.015), (0.2, 0.049, 0.015)),
    "near, over": ({"near": {"place": [0.3, 0.1], "radius": 0.02}}, (0.31, 0.11, 0.5), (0.31, 0.12, 0.5)),
    "near, at": ({"near": {"place": [0.3, 0.1, 0.0], "radius": 0.02}}, (0.31, 0.11, 0.01), (0.31, 0.11, 0.02)),
    "inside": ({"inside": {"low": [0, 0, 0], "high": [1, 1, 0.1]}}, (0.5, 0.5, 0.1), (0.5, -0.1, 0.05)),
    "both": ({"above": 0.1, "moved": 0.2}, (0.4, 0.0, 0.15), (0.2, 0.0, 0.15)),
}


def judge(rule: dict[str, Any]) -> Judge:
    return Judge(Rule.model_validate(rule), ("arm", "gripper"), np.array(START))


@pytest.mark.parametrize("name", RULES)
def test_each_condition_tells_done_from_not_done(name: str) -> None:
    rule, done, undone = RULES[name]
    assert judge(rule).note(np.array(done), np.zeros(2))
    assert not judge(rule).note(np.array(undone), np.zeros(2))


def test_a_joint_may_have_to_be_somewhere_too() -> None:
    followed = judge({"above": 0.0, "joints": {"gripper": {"least": 0.5}}})
    assert [followed.note(np.array(START), np.array([0.9, angle])) for angle in (0.4, 0.5, 0.6)] == [False, True, True]
    with pytest.raises(ValueError, match="the rule names the joint 'wrist'"):
        judge({"joints": {"wrist": {"most": 0.0}}})


def test_it_must_hold_for_so_many_steps_in_a_row() -> None:
    followed = judge({"above": 0.1, "steps": 3})
    heights = (0.2, 0.2, 0.0, 0.2, 0.2, 0.2, 0.2, 0.0)
    said = [followed.note(np.array([0.2, 0.0, height]), np.zeros(2)) for height in heights]
    assert said == [False] * 5 + [True, True, False]
    assert followed.succeeded


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": {}}, "rule: a rule needs a condition"),
        ({"rule": {"lifted": -1}}, "rule.lifted: Input should be greater than 0"),
        ({"rule": {"abov": 1}}, "rule.abov: unknown field"),
        ({"scene": {"object": {"half": 1}}}, "scene.object.half: Input should be less than or equal to 0.02"),
        ({"expert": {"phases": ["grasp"], "failures": ["drop"]}}, "drop happens in none of the phases grasp"),
        ({"expert": {"phases": ["place"], "failures": ["astray"]}}, "goal: the phase `place` needs one"),
    ],
)
def test_a_wrong_task_is_told_its_file_and_field(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    fields = shipped()[DEFAULT].model_dump(mode="json", exclude_unset=True)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(fields | change))
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        task_named(str(path))
    assert str(path) in str(caught.value)


def test_a_task_that_nobody_knows_is_told_which_there_are() -> None:
    with pytest.raises(InputError, match=rf"(?s)unknown task 'juggle'.*{OTHER}"):
        task_named("juggle")
    with pytest.raises(InputError, match=rf"(?s)there is no task 'juggle'.*{OTHER}"):
        registry.settings("replay", "mujoco", {"task": "juggle"})
    with pytest.raises(InputError, match="there is no joint 'tail'"):
        registry.settings("replay", "mujoco", {"rule": {"joints": {"tail": {"least": 0}}}})


def test_what_determines_a_result_is_in_its_identity() -> None:
    backend = registry.load("replay", "mujoco")

    def identity(settings: dict[str, Any]) -> Any:
        return backend.identity(registry.settings("replay", "mujoco", settings))

    assert identity({}) == identity({"task": DEFAULT}) == {}
    assert identity({"task": OTHER}) == {"task": OTHER}
    assert identity({"rule": {"lifted": 0.1}}) == {"rule": {"lifted": 0.1}}
    mine = shipped()[OTHER].model_dump(mode="json") | {"name": "mine"}
    assert identity({"task": mine})["task"]["scene"] == shipped()[OTHER].scene.model_dump(
        mode="json", exclude_defaults=True
    )


def test_a_file_written_from_a_task_gives_it_again() -> None:
    for task in shipped().values():
        assert parse(yaml.safe_dump(task.model_dump(mode="json", exclude_defaults=True)), "again") == task


def test_no_code_knows_a_task_by_name() -> None:
    names = "|".join(task.name.replace("-", "[-_]?") for task in shipped().values())
    # LeIsaac's own names of its tasks, and the name that the tutorial gives its samples
    paths = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[:2] not in KNOW]
    found = [f"{path.relative_to(ROOT)}: {text}" for path in paths for text in literals(path)]
    assert len(paths) > 100
    assert [text for text in found if re.search(names, text.partition(": ")[2], re.IGNORECASE)] == []


def literals(path: Path) -> list[str]:
    """Texts in a module that are no docstrings and no commands' help."""
    tree = ast.parse(path.read_text())
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [node.value for node in texts if id(node) not in said and "examples/" not in node.value]
