"""A robot is a file: what the shipped ones say, what a wrong one is told, and that no code knows a robot by name."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import yaml

import leicos_jobs
from leicos_jobs.backends.gr00t_dreams import configs
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.gr00t import modality
from leicos_jobs.robots.embodiment import embodiment, from_reference, parse, shipped

ROOT = Path(leicos_jobs.__file__).parent
MINE = """
name: mine
robot_type: my_arm
joints:
  - {name: turn, limits: [-90, 90], motor: [-100, 100]}
  - {name: hand, limits: [0, 60], motor: [0, 100], gripper: true}
"""


def test_no_code_beside_the_simulators_names_a_robot_or_its_joints() -> None:
    joints = {joint.name for robot in shipped().values() for joint in robot.joints} - {"gripper"}
    names = {name.replace("-", "[-_]?") for name in shipped()} | {
        re.escape(robot.robot_type) for robot in shipped().values()
    }
    pattern = re.compile(rf"\b({'|'.join(sorted(joints | names))})", re.IGNORECASE)
    simulators = (ROOT / "robots" / "data", *(ROOT / "backends" / name for name in ("mujoco", "physx", "isaac")))
    told = ROOT / "inspect" / "tutorial.py"  # the tutorial's own commands, word for word
    paths = [
        path
        for path in ROOT.rglob("*.py")
        if path != told and not any(path.is_relative_to(place) for place in simulators)
    ]
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path in paths for match in pattern.finditer(path.read_text())]
    assert len(paths) > 100
    assert found == []


def test_shipped_robots_have_the_widths_that_leisaac_records() -> None:
    widths = {name: (robot.action.width, robot.state.width) for name, robot in shipped().items()}
    assert widths == {"lekiwi": (9, 6), "so101": (6, 6), "so101-biarm": (12, 12)}


def test_the_single_arms_conf_yaml_is_what_it_was_before_robots_were_files() -> None:
    text = configs.conf_yaml(embodiment("so101"), ("front",))
    assert sha256(text.encode()).hexdigest() == "b8ac0939b8f15eefe814deb84cad4ff8182c32c11b85f3d324bc4befae5b86a2"


def test_units_go_both_ways_and_angles_are_recorded_in_radians() -> None:
    robot = parse(MINE, "mine.yaml")
    assert robot.action.to_motor(np.array([np.pi / 4, np.pi / 6])) == pytest.approx([50, 50], abs=1e-4)
    assert robot.action.to_recorded(np.array([50, 50])) == pytest.approx([np.pi / 4, np.pi / 6], abs=1e-6)


def test_wheels_keep_their_own_unit() -> None:
    robot = embodiment("lekiwi")
    values = np.array([0, 0, 0, 0, 0, 0, 1.5, -2, 3], np.float32)
    assert robot.action.to_motor(values)[6:] == pytest.approx([1.5, -2, 3])


def test_vectors_of_different_width_meet_in_the_joints_that_they_share() -> None:
    robot = embodiment("lekiwi")
    actions, states = np.arange(18, dtype=np.float32).reshape(2, 9), 100 + np.arange(12, dtype=np.float32).reshape(2, 6)
    assert np.array_equal(robot.state_targets(actions), actions[:, :6])
    assert np.array_equal(robot.action_positions(states, actions), np.concatenate([states, actions[:, 6:]], axis=1))


def test_groups_of_joints_are_one_entry_of_modality_json() -> None:
    robot = parse(MINE + "groups: {arm: [turn, hand]}", "mine.yaml")
    assert modality(robot, ("front",))["action"] == {"arm": {"start": 0, "end": 2, "absolute": True}}
    stats = {name: {"min": [1.0, 2.0]} for name in ("action", "observation.state")}
    found = configs.metadata(robot, "front", stats, (64, 48), 30)["new_embodiment"]
    assert found["statistics"]["action"] == {"arm": {"min": [1.0, 2.0]}}
    assert found["modalities"]["action"]["arm"]["shape"] == [2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"joints": []}, "joints"),
        ({"colour": "red"}, "colour: unknown field"),
        ({"joints": [{"name": "turn", "limits": [90, -90]}]}, "limits must be"),
        ({"joints": [{"name": "turn", "limits": [0, 1]}] * 2}, "turn stands there twice"),
        ({"action_joints": ["nose"]}, "no joint 'nose'"),
        ({"recording": {"state": [{"path": "obs/a", "joints": ["turn"]}]}}, "see hand"),
        ({"groups": {"arm": ["nose"]}}, "no joint 'nose'"),
    ],
)
def test_a_wrong_robot_is_refused_with_file_field_and_fix(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        parse(yaml.safe_dump(yaml.safe_load(MINE) | change), "mine.yaml")
    assert "mine.yaml" in caught.value.message
    assert caught.value.fix


def test_a_robot_that_nobody_knows_is_told_which_there_are() -> None:
    with pytest.raises(InputError, match="unknown robot 'gr1'") as caught:
        embodiment("gr1")
    assert "lekiwi, so101, so101-biarm, or the path" in str(caught.value.fix)


def test_a_model_names_a_shipped_robot_and_holds_another_one() -> None:
    own = parse(MINE, "mine.yaml")
    assert embodiment("so101").reference() == "so101"
    assert from_reference(own.reference(), "artifact.json") == own
