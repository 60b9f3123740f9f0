"""What `to-leisaac` writes, in the hands of the real LeIsaac and Isaac Lab: loader, replay, converter, cosmos_merge.

Their functions run as they are, on plain tensors; MuJoCo stands in for Isaac Sim. Needs what `helpers/upstream` says,
torch and tqdm.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.command_line import leicos
from helpers.upstream import ISAACLAB, LEISAAC, compiled, needs_upstream

pytestmark = needs_upstream
TASK = "Lift the red cube up."
EPISODES = 2


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demos.hdf5, `dataset` (row for row) and back.hdf5 made of it."""
    folder = tmp_path_factory.mktemp("tools")
    size = ("--width", "64", "--height", "48", "--workers", "1", "--failed-share", "0")
    for command in (
        ("record", "demos.hdf5", "--episodes", f"{EPISODES}", "--seed", "3", *size),
        ("to-lerobot", "demos.hdf5", "--task", TASK, "--row-for-row", "--out", "dataset", "--workers", "1"),
        ("to-leisaac", "dataset", "--out", "back.hdf5"),
    ):
        done = leicos(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def isaaclab(torch: Any) -> ModuleType:
    """Isaac Lab's `utils.datasets`, whole."""
    (path,) = [path for path in Path(ISAACLAB).rglob("utils/datasets/__init__.py") if "isaaclab_" not in path.parts[-5]]
    spec = importlib.util.spec_from_file_location(
        "datasets_of_isaaclab", path, submodule_search_locations=[str(path.parent)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def episodes(isaaclab: ModuleType, file: Path) -> list[Any]:
    handler = isaaclab.HDF5DatasetFileHandler()
    handler.open(str(file))
    loaded = [handler.load_episode(name, "cpu") for name in handler.get_episode_names()]
    handler.close()
    return loaded


class Written:
    """An articulation or a rigid object that notes what Isaac Lab writes to it."""

    def __init__(self) -> None:
        self.values: dict[str, list[np.ndarray]] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("write_", "set_joint")):
            raise AttributeError(name)
        return lambda *values, env_ids: self.values.update({name: [value.numpy() for value in values]})


def test_isaac_labs_reset_puts_arm_and_cube_where_the_demo_had_them(
    recorded: Path, isaaclab: ModuleType, torch: Any
) -> None:
    reset = compiled(ISAACLAB, "isaaclab/scene/interactive_scene.py", "reset_to", torch)
    loaded = episodes(isaaclab, recorded / "back.hdf5")
    assert len(loaded) == EPISODES
    with h5py.File(recorded / "demos.hdf5") as file:
        for number, episode in enumerate(loaded):
            robot, cube = Written(), Written()
            scene = SimpleNamespace(
                _articulations={"robot": robot},
                _rigid_objects={"cube": cube},
                _deformable_objects={},
                _surface_grippers={},
                env_origins=torch.zeros(1, 3),
                write_data_to_sim=lambda: None,
            )
            reset(scene, episode.get_initial_state(), torch.tensor([0]), True)
            states = file[f"data/demo_{number}/states"]
            (pose,) = cube.values["write_root_pose_to_sim"]
            assert pose.tobytes() == states["rigid_object/cube/root_pose"][4].tobytes()
            joints = robot.values["write_joint_state_to_sim"]
            assert joints[0].tobytes() == states["articulation/robot/joint_position"][4].tobytes()
            assert joints[1].tobytes() == states["articulation/robot/joint_velocity"][4].tobytes()


@pytest.mark.parametrize("mode", ["action", "state"])
def test_leisaacs_replay_reads_every_step_and_the_cube_is_lifted(
    recorded: Path, isaaclab: ModuleType, torch: Any, mode: str
) -> None:
    from leicos_jobs.backends.mujoco import poses, rollout
    from leicos_jobs.backends.mujoco.simulation import Simulation

    following = compiled(LEISAAC, "teleoperation/replay.py", "get_next_action", torch)
    simulation = Simulation()
    for episode in episodes(isaaclab, recorded / "back.hdf5"):
        start = episode.get_initial_state()
        flat = {
            f"{kind}/{name}/{part}": values[0].numpy()
            for kind, items in start.items()
            for name, parts in items.items()
            for part, values in parts.items()
        }
        simulation.reset(poses.from_leisaac(flat))
        judge, steps, off = rollout.judge(simulation), 0, 0.0
        while (target := following(episode, mode == "state", "so101leader")) is not None:
            if mode == "action":
                simulation.step(target.numpy())
                judge.note(simulation.cube_pos, simulation.joint_pos)
                off = max(
                    off,
                    float(
                        np.abs(
                            simulation.joint_pos
                            - episode.data["states"]["articulation"]["robot"]["joint_position"][steps].numpy()
                        ).max()
                    ),
                )
            steps += 1
        assert steps == len(episode.data["actions"]) == len(episode.data["obs"]["front"])
        assert episode.success
        if mode == "action":
            assert judge.succeeded
            assert off < 1e-4, "`states` are those of the replay"


def test_leisaacs_converter_makes_our_dataset_again(recorded: Path, isaaclab: ModuleType, torch: Any) -> None:
    import pyarrow.parquet as pq
    from tqdm import tqdm

    script, config = "convert/isaaclab2lerobot.py", "tasks/template/single_arm_env_cfg.py"
    add = compiled(LEISAAC, script, "add_episode", torch)
    split = compiled(LEISAAC, script, "split_episode", torch)
    frame = compiled(LEISAAC, config, "build_lerobot_frame", torch)
    units = compiled(LEISAAC, "leisaac/utils/robot_utils.py", "convert_leisaac_action_to_lerobot", torch)
    robot: dict[str, Any] = {}
    text = (next(Path(LEISAAC).rglob("assets/robots/lerobot.py"))).read_text()
    for name in ("SO101_FOLLOWER_USD_JOINT_LIMLITS", "SO101_FOLLOWER_MOTOR_LIMITS"):
        exec(text[(begin := text.index(f"{name} = ")) : text.index("\n}\n", begin) + 2], robot)
    split.__globals__["EpisodeData"] = isaaclab.EpisodeData
    units.__globals__.update(robot, np=np)
    frame.__globals__["convert_leisaac_action_to_lerobot"] = units
    add.__globals__.update(split_episode=split, tqdm=tqdm)

    class Env:
        task_description = TASK
        build_lerobot_frame = frame

    features = {"action": None, "observation.state": None, "observation.images.front": None}
    for number, episode in enumerate(episodes(isaaclab, recorded / "back.hdf5")):
        taken: list[dict[str, Any]] = []
        sink = SimpleNamespace(add_frame=lambda frame, task, taken=taken: taken.append(frame | {"task": task}))
        wanted = SimpleNamespace(action_align=True, features=features)
        assert add(sink, episode, SimpleNamespace(cfg=Env()), wanted, None)
        ours = pq.read_table(recorded / f"dataset/data/chunk-000/episode_{number:06d}.parquet")
        assert len(taken) == len(ours) - 5, "their converter drops five rows"
        actions = np.array(ours["action"].to_pylist(), np.float32)
        np.testing.assert_allclose([one["action"] for one in taken], actions[5:], rtol=0, atol=1e-4)
        states = np.array(ours["observation.state"].to_pylist(), np.float32)
        # the replay's arm, not the recorded one: the embedded simulator's contacts differ by rounding
        np.testing.assert_allclose([one["observation.state"] for one in taken], states[5:], rtol=0, atol=0.5)
        assert {one["task"] for one in taken} == {TASK}
        assert {one["observation.images.front"].shape for one in taken} == {(48, 64, 3)}


def test_cosmos_merge_takes_it_as_its_template(recorded: Path, isaaclab: ModuleType, tmp_path: Path) -> None:
    actions = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    with h5py.File(tmp_path / "lerobot.hdf5", "w") as file:  # as lerobot2isaaclab.py writes it
        file.create_group("data/demo_0").create_dataset("action", data=actions)
    script = next(Path(LEISAAC).rglob("tutorials/cosmos_merge.py"))
    files = [f"--{name}={path}" for name, path in (("lerobot_hdf5", tmp_path / "lerobot.hdf5"),
             ("source_hdf5", recorded / "back.hdf5"), ("output_hdf5", tmp_path / "merged.hdf5"))]  # fmt: skip
    subprocess.run([sys.executable, str(script), *files], check=True, capture_output=True)
    (merged,) = episodes(isaaclab, tmp_path / "merged.hdf5")
    (first, *_) = episodes(isaaclab, recorded / "back.hdf5")
    np.testing.assert_array_equal(merged.data["actions"].numpy(), actions)
    cube = [one.get_initial_state()["rigid_object"]["cube"]["root_pose"].numpy() for one in (merged, first)]
    np.testing.assert_array_equal(*cube)
