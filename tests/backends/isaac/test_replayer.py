"""The replayer and its watchdog against a driver process that hangs, crashes and lies about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leicos_jobs.backends.isaac import replayer as module
from leicos_jobs.backends.isaac.replayer import IsaacReplayer, ReplayError
from leicos_jobs.backends.isaac.settings import IsaacSettings
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import ReplayRequest
from leicos_jobs.core.errors import DefectError, ExitCode, InputError

HERE = Path(__file__).parent
REST = np.radians([0, -100, 90, 50, 0, -10]).astype(np.float32)
UP = np.radians([0, 60, 0, 0, 0, -10]).astype(np.float32)


@pytest.fixture(autouse=True)
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own Python in the place of Isaac's, the fake environment in the place of LeIsaac's."""
    (tmp_path / "assets" / "robots").mkdir(parents=True)
    monkeypatch.setattr(module, "DRIVER_ENV", "fake_isaac:make")
    monkeypatch.setenv("ACCEPT_EULA", "Y")
    wrapper = tmp_path / "python.sh"  # as Isaac's: a shell between us and Python, and not by exec
    wrapper.write_text(f'#!/bin/bash\nexport PYTHONPATH="$PYTHONPATH:{HERE}"\n"{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("LEICOS_ISAAC_PYTHON", str(wrapper))
    monkeypatch.setenv("LEISAAC_ASSETS_ROOT", str(tmp_path / "assets"))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    started: list[IsaacReplayer] = []

    def make(**more: Any) -> IsaacReplayer:
        settings = IsaacSettings(**({"envs": 3, "hang_seconds": 2.5, "start_seconds_max": 60.0} | more))
        started.append(IsaacReplayer(settings, tmp_path / "work"))
        return started[-1]

    yield make
    for item in started:
        item._drop()


def request(sample: str, target: np.ndarray = UP, fault: str = "", repeats: int = 1, rows: int = 60) -> ReplayRequest:
    start = {
        "articulation/robot/joint_position": [float(value) for value in REST],
        "rigid_object/cube/root_pose": [0.3, -0.6, 0.05, 1.0, 0.0, 0.0, 0.0],
        "conditioning/actions": [0.0] * 24,
    }
    if fault:
        start[f"fault/{fault}"] = []
    actions = SO101.action.to_motor(np.repeat(target[None], rows, axis=0))
    return ReplayRequest(sample, start, actions, control_hz=60.0, hold=30, repeats=repeats, seed=21)


def work(replayer: IsaacReplayer, requests: list[ReplayRequest]) -> tuple[dict[str, dict[str, Any]], str, str]:
    """Results by sample, the error's text, and the sample that would be blamed for it."""
    started: list[str] = []
    found: dict[str, dict[str, Any]] = {}
    try:
        for result in replayer.process(requests, started.append):
            assert result.sample not in found
            found[result.sample] = result.metrics.facts()
    except ReplayError as error:
        return found, str(error), started[-1]
    return found, "", ""


def test_success_and_failure_by_the_tasks_rule(made: Any) -> None:
    opened = np.add(UP, [0, 0, 0, 0, 0, 1.0])
    found, error, _ = work(made(), [request("up"), request("rest", REST), request("open", opened)])
    assert not error
    assert {name: metrics["success"] for name, metrics in found.items()} == {"up": True, "rest": False, "open": False}
    up = found["up"]
    assert up["success_held"] is True
    assert up["max_lift"] == pytest.approx(0.3 * UP[1], abs=1e-3), "above its height in the start state"
    assert up["first_grasp_row"] == 0
    assert found["open"]["first_grasp_row"] is None
    assert up["limit_clip_share"] == 0
    assert up["tracking_error_deg"] > 1
    assert json.dumps(found)


def test_metrics_have_the_names_of_replay_mujoco(made: Any) -> None:
    mujoco_demo = pytest.importorskip("backends.mujoco_demo", exc_type=ImportError)
    from leicos_jobs.backends.mujoco.replayer import MujocoReplayer, MujocoReplayerSettings

    other = MujocoReplayer(MujocoReplayerSettings(), Path())
    (named,) = other.process([mujoco_demo.replay_request(mujoco_demo.demo(0)[0])], lambda _sample: None)
    found, _, _ = work(made(), [request("up")])
    assert set(found["up"]) == set(named.metrics.facts())


def test_more_episodes_than_environments_and_repeats(made: Any) -> None:
    found, error, _ = work(made(), [request(f"s{number}", repeats=3, rows=20 + number) for number in range(5)])
    assert not error
    assert len(found) == 5
    assert all(metrics["repeats"] == 3 and metrics["success_rate"] == 1.0 for metrics in found.values())


@pytest.mark.parametrize("fault", ["hang", "crash", "segfault", "physx"])
def test_whoever_kills_simulators_is_found_and_the_others_come_through(fault: str, made: Any) -> None:
    """Also with exit code 0 after a crash, and with a process that never ends."""
    replayer = made(hang_seconds=1.5)
    requests = [request("a"), request("bad", fault=fault), request("b"), request("c"), request("d")]
    found, error, blamed = work(replayer, requests)
    assert sorted(found) == ["a", "b", "c", "d"]
    assert blamed == "bad"
    assert ("hung" in error) == (fault == "hang")
    if fault == "crash":
        assert "exit code 0" in error
    if fault == "physx":
        assert "PhysX error" in error
    found, error, _ = work(replayer, [request("later")])
    assert list(found) == ["later"]
    assert not error


def test_a_hang_costs_only_what_was_in_hand(made: Any, tmp_path: Path) -> None:
    """One environment: what was finished before the hang came out before it, and is not replayed again."""
    replayer = made(envs=1, hang_seconds=1.5)
    results = replayer.process([request("a"), request("bad", fault="hang"), request("b")], lambda _sample: None)
    assert next(results).sample == "a"
    assert next(results).sample == "b"
    with pytest.raises(ReplayError, match="hung"):
        next(results)
    lines = [path.read_text().splitlines() for path in (tmp_path / "work").glob("*/results.jsonl")]
    assert sorted(json.loads(line)["id"] for file in lines for line in file) == ["a#0", "b#0"]


def test_an_episode_that_cannot_start_fails_alone(made: Any) -> None:
    bad = request("bad")
    del bad.start["rigid_object/cube/root_pose"]
    found, error, blamed = work(made(), [bad, request("a")])
    assert list(found) == ["a"]
    assert blamed == "bad"
    assert "state lacks" in error


def test_a_simulator_that_does_not_start_is_a_defect_and_no_samples_fault(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how, text in (("raise", "vkCreateInstance"), ("exit", "exit code 0"), ("hang", "hung")):
        monkeypatch.setenv("FAKE_START", how)
        with pytest.raises(DefectError, match=text):
            made(start_seconds_max=0.5 if how == "hang" else 60.0)


def test_a_task_that_can_never_be_replayed_is_the_configurations_fault_and_not_tried_twice(
    made: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_START", "refuse")
    with pytest.raises(InputError, match=r"replay.settings.task: .* has no success term") as caught:
        made()
    assert caught.value.exit_code == ExitCode.INPUT
    assert len(list(tmp_path.glob("work/isaac-*"))) == 1


def test_a_simulator_that_dies_between_episodes_again_and_again_ends_the_backend(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayer = made()
    replayer._drop()
    monkeypatch.setenv("FAKE_START", "exit")
    with pytest.raises(SystemExit):
        list(replayer.process([request("a")], lambda _sample: None))


@pytest.mark.parametrize(("name", "value"), [("FAKE_ORDER", "1"), ("FAKE_HZ", "30")])
def test_a_task_that_is_not_the_robots_is_refused(
    name: str, value: str, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    def run() -> None:
        list(made().process([request("a")], lambda _sample: None))

    with pytest.raises(InputError):
        run()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value, text in (
        ("LEISAAC_ASSETS_ROOT", "/nowhere", "assets"),
        ("ACCEPT_EULA", "", "licence"),
        ("LEICOS_LEISAAC_COMMIT", "1" * 40, "111111"),
        ("LEICOS_ISAAC_PYTHON", "/nowhere", "not on this machine"),
    ):
        monkeypatch.setenv(variable, value)
        with pytest.raises(InputError, match=text):
            IsaacReplayer(IsaacSettings(), tmp_path)
    monkeypatch.undo()


def test_the_simulator_dies_with_the_worker(tmp_path: Path) -> None:
    """Through the shell that Isaac's python.sh is: the driver itself watches its owner."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from leicos_jobs.backends.isaac import replayer as module\n"
        "module.DRIVER_ENV = 'fake_isaac:make'\n"
        "from test_replayer import request\n"
        "made = module.IsaacReplayer(module.IsaacSettings(), Path(sys.argv[2]))\n"
        "list(made.process([request('a', rows=100000)], lambda sample: None))\n"
    )
    environment = os.environ | {"FAKE_STEP": "0.01"}
    worker = subprocess.Popen([sys.executable, "-c", code, str(HERE), str(tmp_path / "work")], env=environment)
    deadline = time.monotonic() + 20

    def driver() -> list[int]:
        text = f"leicos_replay_driver {tmp_path}"
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in line and "bash" not in line:
                found.append(int(entry.name))
        return found

    while not driver() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert driver()
    time.sleep(0.3)
    worker.kill()
    worker.wait()
    while driver() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not driver()


def test_settings_of_the_machine_stay_out_of_identities() -> None:
    settings = IsaacSettings(envs=16, python="/x", assets="/y", device="cuda:1", hang_seconds=5, tries=3)
    assert settings.model_dump(mode="json", exclude_defaults=True) == {}
    assert IsaacSettings(task="LeIsaac-SO101-PickOrange-v0").model_dump(exclude_defaults=True)


def test_assets_are_checked_by_digest_before_they_count(tmp_path: Path) -> None:
    import dataclasses
    import hashlib
    import zipfile

    from leicos_jobs.backends.isaac import assets

    task, root = "LeIsaac-SO101-LiftCube-v0", tmp_path / "leisaac"
    assert [item.file for item in assets.assets_of(task)] == ["so101_follower.usd", "table_with_cube.zip"]
    assert len(assets.missing(task, root)) == 2
    archive = tmp_path / "table_with_cube.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("table_with_cube/scene.usd", "usd")
    scene = assets.SCENES["LiftCube"]
    with pytest.raises(InputError, match="sha256"):
        assets.install(scene, archive, root)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assets.install(dataclasses.replace(scene, sha256=digest), archive, root)
    assert (root / "scenes" / "table_with_cube" / "scene.usd").read_text() == "usd"
    robot = tmp_path / "so101_follower.usd"
    robot.write_text("usd")
    digest = hashlib.sha256(b"usd").hexdigest()
    assets.install(dataclasses.replace(assets.ROBOT, sha256=digest), robot, root)
    assert assets.missing(task, root) == []


def test_a_scene_has_its_place_or_the_error_says_what_to_do(tmp_path: Path) -> None:
    import dataclasses
    import hashlib
    import zipfile

    from leicos_jobs.backends.isaac import assets

    archive, root = tmp_path / "table_with_cube.zip", tmp_path / "leisaac"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("scene.usd", "usd")  # without a folder of its own
    scene = dataclasses.replace(assets.SCENES["LiftCube"], sha256=hashlib.sha256(archive.read_bytes()).hexdigest())
    left = root / "scenes" / "table_with_cube" / "textures"
    left.mkdir(parents=True)
    with pytest.raises(InputError, match=r"has no scene\.usd") as caught:
        assets.install(scene, archive, root)
    assert "remove it" in str(caught.value.fix)
    left.rmdir()
    assets.install(scene, archive, root)
    assert (root / "scenes" / "table_with_cube" / "scene.usd").read_text() == "usd"
    with pytest.raises(InputError, match="cannot write"):
        assets.install(scene, archive, archive)


def test_a_download_that_was_cut_off_is_tried_again_and_an_unknown_scene_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real connection: a short file has another sha256, which alone would end the cache job for good."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from leicos_jobs.backends.isaac import assets

    class Cut(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"usd")

        def log_message(self, *_arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Cut)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(assets, "RELEASES", f"http://127.0.0.1:{server.server_port}")
    root = tmp_path / "leisaac"
    try:
        assert assets.main(["LeIsaac-SO101-LiftCube-v0", str(root)]) == ExitCode.RETRY
    finally:
        server.shutdown()
        server.server_close()
    assert assets.main(["LeIsaac-SO101-CleanToyTable-v0", str(root)]) == ExitCode.INPUT
    assert not root.exists()
