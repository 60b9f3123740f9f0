"""The trainer around a stand-in for upstream: its script's arguments, files and habits, without its network.

What the real script does with the same driver was run by hand (benchmarks/idm_h200/train.py, and a small network on a
CPU): here it is the trainer's own part that is held to its word, in a second or two a run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import gr00t_small as small
import numpy as np
import pytest

from leicos_jobs.backends.gr00t_dreams import artifact, settings, trainer
from leicos_jobs.backends.gr00t_dreams.backend import Gr00tDreamsTrainer
from leicos_jobs.backends.gr00t_dreams.dataset import training_view
from leicos_jobs.backends.gr00t_dreams.verify import verify
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.backends.requests import TrainRequest
from leicos_jobs.core.errors import DefectError, InputError
from leicos_jobs.formats.lerobot_v21 import DatasetWriter

STEPS, SAVE, ROWS = 6, 2, 12
SIZE, FPS = (64, 48), 30.0

STAND_IN = {
    "torch.py": "def load(*a, **k):\n    return k\n",
    "hydra/__init__.py": "",
    "hydra/utils.py": "def instantiate(part):\n    return ('made', part)\n",
    "transformers.py": """
        import json, os
        class TrainerCallback: pass
        class TrainingArguments:
            def __init__(self, **named):
                self.named = named
                with open(os.environ["SEEN"], "a") as log: log.write(json.dumps(named) + chr(10))
        def set_seed(seed): pass
    """,
    "gr00t/__init__.py": "",
    "gr00t/experiment/__init__.py": "",
    "gr00t/experiment/data_config_idm.py": "DATA_CONFIG_MAP = {}\n",
    "gr00t/experiment/runner_idm.py": """
        import json, os, shutil, time
        from pathlib import Path
        class Trainer:
            def __init__(self): self.callbacks = []
            def add_callback(self, one): self.callbacks.append(one)
        class State: pass
        class TrainRunner:
            def __init__(self, arguments, first):
                self.arguments, self.first, self.trainer = arguments, first, Trainer()
            def write(self, folder, step):
                folder.mkdir(parents=True, exist_ok=True)
                for name in ("config.json", "model.safetensors"):
                    shutil.copy(Path(os.environ["WEIGHTS"]) / name, folder)
                history = [{"step": k, "loss": 1 / k} for k in range(1, step + 1)]
                (folder / "trainer_state.json").write_text(json.dumps({"global_step": step, "log_history": history}))
            def train(self):
                out, state = Path(self.arguments["output_dir"]), State()
                state.max_steps = self.arguments["max_steps"]
                for step in range(self.first + 1, state.max_steps + 1):
                    state.global_step = step
                    for one in self.trainer.callbacks: one.on_step_end(None, state, None)
                    if step >= int(os.environ["HOLD"]): time.sleep(600)
                    if step % self.arguments["save_steps"] == 0:
                        folder = out / f"checkpoint-{step}"
                        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
                            folder.mkdir(exist_ok=True); (folder / name).write_bytes(b"x")
                        self.write(folder, step)
                        shutil.copytree(out / "experiment_cfg", folder / "experiment_cfg", dirs_exist_ok=True)
                        for one in self.trainer.callbacks: one.on_save(None, state, None)
                self.write(out, state.max_steps)
    """,
    "scripts/idm_training.py": """
        import os, sys
        from pathlib import Path
        from transformers import TrainingArguments
        from gr00t.experiment.data_config_idm import DATA_CONFIG_MAP
        from gr00t.experiment.runner_idm import TrainRunner
        given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
        if os.environ.get("FAIL"): raise SystemExit("out of memory, say")
        if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} & set(os.environ): raise SystemExit("the real one would join a group")
        Path(os.environ["SEEN"] + ".pid").write_text(str(os.getpid()))
        print("words of upstream's")
        made = DATA_CONFIG_MAP[given["--data-config"]]
        assert made.modality_config()["video"][1]["delta_indices"] == [0, 16] and made.transform()[0] == "made"
        out = Path(given["--output-dir"])
        steps = [int(p.name.split("-")[1]) for p in out.glob("checkpoint-*")]
        assert ("--resume" in sys.argv) == bool(steps), "upstream raises where there is nothing to resume"
        assert (Path(given["--dataset-path"]) / "meta" / "stats.json").is_file()
        arguments = TrainingArguments(output_dir=str(out), max_steps=int(given["--max-steps"]), seed=42,
                                      save_steps=int(given["--save-steps"]), save_total_limit=8)
        TrainRunner(arguments.named, max(steps, default=0)).train()
    """,
}  # fmt: skip


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a stand-in checkout, and the weights that it hands out."""
    root = tmp_path_factory.mktemp("training")
    writer = DatasetWriter(root / "dataset", SO101, ("front",), FPS)
    for seed in range(3):
        rows = np.random.default_rng(seed).uniform(10, 90, (ROWS, SO101.action.width)).astype(np.float32)
        writer.add_episode(rows, rows, "move", {"front": iter(small.pictures(ROWS, *SIZE, seed=seed))})
    writer.finish()
    for name, text in STAND_IN.items():
        path = root / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    tower = root / "tower"
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps({"vision_config": small.SMALL.vision}))
    small.write_checkpoint(root / "weights", str(tower), small.SMALL, small.random_weights(), SIZE)
    return root


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, stage: Path, tmp_path: Path) -> None:
    monkeypatch.setenv(settings.CHECKOUT_VARIABLE, str(stage / "checkout"))
    monkeypatch.setenv(settings.PYTHON_VARIABLE, sys.executable)
    monkeypatch.setenv("WEIGHTS", str(stage / "weights"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("HOLD", "")
    monkeypatch.delenv("FAIL", raising=False)


def train(stage: Path, tmp_path: Path, *, stop: int = 0, hold: int = 0, seed: int = 0):
    """hold: the step at which the stand-in waits. stop: likewise, and the trainer is told to stop there."""
    seen: list[int] = []
    os.environ["HOLD"] = str(stop or hold or 10**6)

    def report(done: int, total: int) -> None:
        assert total == STEPS
        seen.append(done)
        if stop and done >= stop:
            raise StopError

    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    request = TrainRequest(
        dataset=stage / "dataset", robot=SO101, camera="front", train=[0, 2], seed=seed,
        out=tmp_path / "out", resume=tmp_path / "resume", report=report,
    )  # fmt: skip
    chosen = settings.TrainerSettings(steps=STEPS, save_steps=SAVE, keep_checkpoints=1, batch=2)
    (tmp_path / "work").mkdir(parents=True, exist_ok=True)
    return Gr00tDreamsTrainer(chosen, tmp_path / "work").train(request).facts(), seen


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "resume").glob("*checkpoint-*"))


def test_trained_and_published(stage, tmp_path):
    facts, seen = train(stage, tmp_path, seed=3)
    assert seen == list(range(1, STEPS + 1))
    assert facts["losses"] == [(k, pytest.approx(1 / k)) for k in range(1, STEPS + 1)]
    found = artifact.load(tmp_path / "out")
    assert found.geometry == SIZE
    assert found.fps == pytest.approx(FPS)
    said = json.loads((tmp_path / "seen").read_text())
    assert (said["seed"], said["save_total_limit"]) == (42 + 3, 1)
    assert kept(tmp_path) == [f"checkpoint-{STEPS}"]
    conf = (tmp_path / "resume" / f"checkpoint-{STEPS}" / "experiment_cfg" / "conf.yaml").read_text()
    assert conf == (tmp_path / "out" / "experiment_cfg" / "conf.yaml").read_text()


def test_killed_resumed_and_the_same(stage, tmp_path):
    with pytest.raises(StopError):
        train(stage, tmp_path, stop=5)
    assert kept(tmp_path) == ["checkpoint-4"]
    facts, seen = train(stage, tmp_path)
    assert (facts["resumed_from"], seen) == (4, [5, 6])
    whole, _ = train(stage, tmp_path / "other")
    assert whole["digest"] == facts["digest"]
    # all steps done, but nobody published: upstream is not asked for a step more
    again, seen = train(stage, tmp_path)
    assert (again["digest"], seen) == (facts["digest"], [])


def test_half_a_checkpoint_is_dropped(stage, tmp_path):
    with pytest.raises(StopError):
        train(stage, tmp_path, stop=5)
    cut = tmp_path / "resume" / "checkpoint-5"
    shutil.copytree(tmp_path / "resume" / "checkpoint-4", cut)
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    assert not trainer.complete(cut)
    assert train(stage, tmp_path)[0]["resumed_from"] == 4


def test_another_trainings_checkpoint_is_not_used(stage, tmp_path):
    with pytest.raises(StopError):
        train(stage, tmp_path, stop=5)
    assert train(stage, tmp_path, seed=1)[0]["resumed_from"] == 0


def test_upstreams_last_words_are_passed_on(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(DefectError, match="out of memory, say"):
        train(stage, tmp_path)


def test_an_operators_variables_do_not_reach_upstream_and_its_words_are_in_the_log(stage, tmp_path, monkeypatch, capfd):
    for name, value in {"RANK": "3", "WORLD_SIZE": "8", "MASTER_ADDR": "x"}.items():
        monkeypatch.setenv(name, value)
    train(stage, tmp_path)
    said = capfd.readouterr().err
    assert "words of upstream's" in said
    assert '"step"' not in said


def test_upstream_dies_with_the_worker(stage, tmp_path):
    """A worker killed outright leaves no process that holds the GPU."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from test_gr00t_training import train\n"
        "train(Path(sys.argv[2]), Path(sys.argv[3]), hold=2)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(stage), str(tmp_path)])
    pid = Path(os.environ["SEEN"] + ".pid")
    try:
        wait_until(lambda: pid.is_file() and pid.read_text() != "", worker)
        upstream = int(pid.read_text())
        assert alive(upstream)
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not alive(upstream))


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Until it is so, for as long as the process runs that is to make it so; far longer than it takes."""
    deadline = time.monotonic() + 60
    while not true():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_checkout_of_another_commit_is_refused(tmp_path, stage):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "idm_training.py").touch()
    assert settings.checkout(str(tmp_path)) == tmp_path
    (tmp_path / ".leicos-commit").write_text(settings.UPSTREAM + "\n")
    assert settings.checkout(str(tmp_path)) == tmp_path
    (tmp_path / ".leicos-commit").write_text("0" * 40)
    with pytest.raises(InputError, match=f"is at commit {'0' * 40}, leicos is for {settings.UPSTREAM}"):
        settings.checkout(str(tmp_path))
    with pytest.raises(InputError, match="is at commit"):
        verify(tmp_path, stage / "weights", tmp_path / "none.mp4")


def test_only_the_chosen_episodes_are_trained_on(stage, tmp_path):
    view = training_view(stage / "dataset", tmp_path / "view", [2, 0], SO101, "front")
    lines = [json.loads(line) for line in (view.root / "meta" / "episodes.jsonl").read_text().splitlines()]
    assert [line["episode_index"] for line in lines] == [0, 1]
    assert len(list(view.root.rglob("*.parquet"))) == len(list(view.root.rglob("*.mp4"))) == 2
    assert view.rows == 2 * ROWS
    for episodes, camera, message in (([], "front", "no training episode"), ([0], "wrist", "no camera 'wrist'")):
        with pytest.raises(InputError, match=message):
            training_view(stage / "dataset", tmp_path / camera, episodes, SO101, camera)


def test_several_gpus_go_through_torchrun(tmp_path):
    command = trainer.command(settings.TrainerSettings(gpus=4, python="python"), tmp_path / "job")
    assert command[:3] == ["python", "-m", "torch.distributed.run"]
    assert "--nproc_per_node=4" in command
    given = trainer.arguments(settings.TrainerSettings(gpus=4), SO101, tmp_path, tmp_path, resume=False)
    assert given[given.index("--num-gpus") + 1] == "4"
