"""Against the real cosmos-predict2.5 with only the model replaced: its schema, its parser, its runner, its log.

Needs a checkout of 7e5ffc83 in $LEICOS_COSMOS and a Python with its light dependencies in $LEICOS_COSMOS_TEST_PYTHON:
torch (CPU will do), pydantic 2.11, tyro 0.9, loguru, hydra-core, imageio, imageio-ffmpeg, einops, pyyaml, attrs,
termcolor, tqdm, pandas, regex, urllib3. Without them all of this is skipped, with a warning.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from cosmos_helpers import requests
from helpers.generate_worker import (
    FRAMES,
    HEIGHT,
    WIDTH,
    assert_all_committed,
    kill_and_finish,
    make_run,
    start_worker,
    worked,
    write_clip,
)

from leicos_jobs.backends.cosmos_predict25 import command
from leicos_jobs.backends.cosmos_predict25.checkout import find_checkout
from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator, GenerationError
from leicos_jobs.backends.cosmos_predict25.settings import CosmosSettings, PostTrainSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.core.programs import clean_environment
from leicos_jobs.formats.cosmos import BatchLine
from leicos_jobs.media.probe import probe, verify
from leicos_jobs.run import failures
from leicos_jobs.run.opened import open_run

CHECKOUT = os.environ.get("LEICOS_COSMOS", "")
PYTHON = os.environ.get("LEICOS_COSMOS_TEST_PYTHON", "")
SHIM = Path(__file__).parent / "upstream_shim.py"

if not (CHECKOUT and PYTHON):
    warnings.warn(
        "NOT RUN: the tests against the real cosmos-predict2.5 (set LEICOS_COSMOS and LEICOS_COSMOS_TEST_PYTHON)",
        stacklevel=1,
    )
pytestmark = pytest.mark.skipif(
    not (CHECKOUT and PYTHON), reason="needs $LEICOS_COSMOS and $LEICOS_COSMOS_TEST_PYTHON: see the module's docstring"
)


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A program that our code takes for upstream's Python: the real one with the model replaced."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\nexec "{PYTHON}" "{SHIM}" "{CHECKOUT}" "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def real_settings(python: str, **more: Any) -> CosmosSettings:
    return CosmosSettings(checkout=CHECKOUT, python=python, **more)


def run(python: str, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        cwd=CHECKOUT,
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def batch(folder: Path, *names: str, **more: Any) -> Path:
    clip = write_clip(folder / "clip.mp4")
    values = {"resolution": f"{HEIGHT},{WIDTH}", "num_output_frames": FRAMES} | more
    lines = [BatchLine(name=name, prompt="Lift_it", input_path=str(clip), **values).line() for name in names]
    path = folder / "batch.jsonl"
    path.write_text("".join(lines))
    return path


def test_our_command_and_our_lines_pass_its_parser_and_schema_unchanged(tmp_path: Path, python: str) -> None:
    settings = real_settings(python, offload=("diffusion-model", "tokenizer", "text-encoder"))
    checkpoint = tmp_path / "model_ema_bf16.pt"
    checkpoint.write_bytes(b"weights")
    weights = command.Weights("2B/pre-trained", checkpoint, settings.post_train.experiment)
    path = batch(tmp_path, "00000000000000000000", "0000000000000000000a", seed=24)
    arguments = command.inference_command(python, settings, weights, path, tmp_path / "out")[1:]
    done = run(python, arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in map(json.loads, path.read_text().splitlines()):
        resolved = json.loads((tmp_path / "out" / f"{line['name']}.json").read_text())
        assert {name: resolved[name] for name in line} == line
        assert set(resolved) - set(line) == {"prompt_path"}
        info = verify(tmp_path / "out" / f"{line['name']}.mp4", frames=FRAMES, size=(WIDTH, HEIGHT))
        assert float(info.fps) == 16


def test_its_traps_are_as_the_backend_takes_them_to_be(tmp_path: Path, python: str) -> None:
    """A stale NAME.json counts as done, all skipped is exit 1, one unknown key ends the batch before it begins."""
    path, out = batch(tmp_path, "a", "b"), tmp_path / "out"
    out.mkdir()
    (out / "a.json").write_text("{}")
    base = ["examples/inference.py", "-i", str(path), "-o", str(out), "--disable-guardrails", "--skip-existing-output"]
    done = run(python, base)
    assert done.returncode == 0
    assert not (out / "a.mp4").exists(), "silently lost"
    assert (out / "b.mp4").exists()
    done = run(python, base)
    assert done.returncode == 1
    assert "No inference samples" in done.stderr
    path.write_text(path.read_text().replace('"guidance":7', '"guidance":7,"fps":30', 1))
    done = run(python, base[:-1])
    assert done.returncode == 1
    assert "Extra inputs are not permitted" in done.stdout + done.stderr


@pytest.mark.parametrize("driver", ["api", "cli"])
def test_the_generator_through_its_real_runner(driver: str, tmp_path: Path, python: str) -> None:
    generator = CosmosGenerator(real_settings(python, driver=driver), None, tmp_path / "work")
    prompts = ["fine", "SHORT", "fine", "RAISE" if driver == "api" else "SHORT", "fine"]
    found: list[int] = []
    started: list[str] = []

    def work() -> None:
        for result in generator.process(requests(tmp_path / "r", prompts), started.append):
            verify(result.video, frames=FRAMES, fps=30, size=(WIDTH, HEIGHT))
            found.append(int(result.sample))

    with pytest.raises(GenerationError):
        work()
    assert found == [0, 2, 4]
    assert int(started[-1]) == 3
    generator.close()


@pytest.mark.parametrize("driver", ["api", "cli"])
def test_keys_that_do_not_fit_are_found_in_its_real_log(
    driver: str, tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MISSING_KEYS", "blocks.0.self_attn.q_proj.weight")

    def work() -> None:
        generator = CosmosGenerator(real_settings(python, driver=driver), None, tmp_path / "work")
        list(generator.process(requests(tmp_path / "r", ["fine"]), lambda _sample: None))

    with pytest.raises(InputError, match=r"blocks\.0\.self_attn"):
        work()


def test_one_sample_a_folder_and_the_model_loaded_once(tmp_path: Path, python: str) -> None:
    generator = CosmosGenerator(real_settings(python, driver="api"), None, tmp_path / "work")
    for attempt in range(2):
        wanted = requests(tmp_path / f"r{attempt}", ["fine", "fine"])
        assert len(list(generator.process(wanted, lambda _sample: None))) == 2
        for request in wanted:
            assert sorted(path.suffix for path in (request.out_dir / "upstream").iterdir()) == [".json", ".mp4"]
            assert probe(request.out_dir / f"{request.sample}.mp4").frames == FRAMES
    assert len(list((tmp_path / "work").iterdir())) == 1, "one start of upstream"
    generator.close()


def test_ten_kills_of_the_real_runner(tmp_path: Path, python: str) -> None:
    root = tmp_path / "run"
    settings = {"checkout": CHECKOUT, "python": python, "driver": "api"}
    plan = make_run(root, ["Lift_the_red_cube_up"] * 60, settings, quarantine_after=1000)
    journal = tmp_path / "journal"
    kill_and_finish(root, 10, {"FAKE_SECONDS": "1.0", "FAKE_JOURNAL": str(journal)}, seed=3, longest=14.0)
    assert_all_committed(root, plan)
    assert worked(journal) > 60, "some were being made when a kill came, and were made again"


def test_a_poison_sample_in_the_real_runner(tmp_path: Path, python: str) -> None:
    root = tmp_path / "run"
    plan = make_run(root, ["fine", "OOM", "fine"], {"checkout": CHECKOUT, "python": python})
    assert start_worker(root, {}).wait(300) == 0
    assert_all_committed(root, [plan[0], plan[2]])
    notes = failures.read_all(open_run(str(root)).store, "generate")
    assert {sample: len(items) for sample, items in notes.items()} == {plan[1].id: 3}
    assert "OutOfMemoryError" in notes[plan[1].id][0].error


@pytest.mark.parametrize("size", ["2b", "14b"])
def test_every_override_of_our_training_command_composes_in_its_real_configuration(
    size: str, tmp_path: Path, python: str
) -> None:
    train = PostTrainSettings(
        experiment=f"predict2_video2world_training_{size}_groot_gr1_480", learning_rate=1e-4, warm_up_steps=100, gpus=2,
        steps=500, overrides=("~trainer.callbacks.wandb", "model.config.ema.rate=0.05"),
    )  # fmt: skip
    arguments = command.train_command(python, train, tmp_path / "dataset", (640, 480), 21)
    after = arguments[arguments.index("scripts.train") + 1 :]
    done = run(python, ["scripts/train.py", "--dryrun", *after], IMAGINAIRE_OUTPUT_ROOT=str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    text = next((tmp_path / "out").rglob("config.yaml")).read_text()
    assert text.count(f"dataset_dir: {tmp_path / 'dataset'}") == 2
    assert text.count("video_size:") == 2
    assert text.count("- '480'") == text.count("- '640'") == 2
    for wanted in ("wandb_mode: disabled", "max_iter: '500'", "save_iter: '200'", "lr: '0.0001'", "rate: 0.05"):
        assert wanted in text
    job = command.checkpoints_folder(tmp_path / "out", f"{size}_groot_gr1_480").parent
    assert (job / "config.yaml").is_file(), "checkpoints lie where the trainer looks for them"


def test_the_checkout_is_recognised(python: str) -> None:
    assert find_checkout(real_settings(python)).root == Path(CHECKOUT)
    assert sys.executable != python
