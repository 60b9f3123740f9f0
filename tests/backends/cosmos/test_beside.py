"""What stands beside the generator: explanations, the weights' list, logs of a load, verification, images' pins."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import av
import numpy as np
import pytest
from cosmos_helpers import fake_settings

from leicos_jobs.backends.cosmos_predict25 import weights
from leicos_jobs.backends.cosmos_predict25.explain import explain, steps, tutorial_line
from leicos_jobs.backends.cosmos_predict25.load_log import read_load_log
from leicos_jobs.backends.cosmos_predict25.settings import UPSTREAM, CosmosSettings
from leicos_jobs.backends.cosmos_predict25.verify import verify_cosmos
from leicos_jobs.backends.isaac.assets import ROBOT, SCENES
from leicos_jobs.backends.isaac.settings import UPSTREAM as LEISAAC
from leicos_jobs.formats.cosmos import BatchLine
from leicos_jobs.media.encode import write_video

ROOT = Path(__file__).parents[3]
DECISIONS = ROOT / "docs" / "decisions"


def test_the_tutorials_commands_are_printed_with_its_own_arguments() -> None:
    text = "\n".join(explain(CosmosSettings(), "Lift the red cube up.", 210, (640, 480)))
    for wanted in (
        "torchrun --nproc_per_node=1 --master_port=12341 -m scripts.train "
        "--config=cosmos_predict2/_src/predict2/configs/video2world/config.py "
        "-- experiment=predict2_video2world_training_2b_groot_gr1_480",
        "python scripts/convert_distcp_to_pt.py $CHECKPOINT_DIR/model $CHECKPOINT_DIR",
        "--checkpoint-path $CHECKPOINT_DIR/model_ema_bf16.pt "
        "--experiment predict2_video2world_training_2b_groot_gr1_480",
        "python scripts/generate_batch_config.py --use-prompt",
        "cosmos-predict2.5/datasets/benchmark_train/<task_name>/metas/1.txt",
    ):
        assert wanted in text
    line = json.loads(tutorial_line(episode=3))
    assert (line["seed"], line["guidance"], line["resolution"], line["num_output_frames"]) == (21, 7, "480,640", 210)
    assert (line["chunk_size"], line["chunk_overlap"], line["name"]) == (77, 1, "liftcube_episode_000003")
    assert line["prompt"] == "The robot arm is performing a task. Lift the red cube up."
    assert set(line) <= set(BatchLine.model_fields), "fields of upstream's schema"


def test_every_step_says_what_runs_and_why() -> None:
    for step in steps(CosmosSettings(post_train={"gpus": 4}), "Lift it", 93, (640, 480)):
        assert step.theirs
        assert step.ours
        assert step.why
    training = steps(CosmosSettings(post_train={"gpus": 4}), "Lift it", 93, (640, 480))[1].ours[0]
    assert "--nproc_per_node=4" in training
    assert training.count("dataset_dir=") == training.count("video_size=") == 2
    assert "job.wandb_mode=disabled" in training


def test_load_reports_in_upstreams_own_words() -> None:
    """The second line is of upstream's issue 43, shortened; the third is what its loader says whatever happened."""
    text = (
        "[CRITICAL|text2world_model_rectified_flow.py:919:load_state_dict] load model in non-strict mode\n"
        "[CRITICAL|...] _IncompatibleKeys(missing_keys=['fc1.weight', 'fc2.weight'], "
        "unexpected_keys=['a._extra_state'], incorrect_shapes=[('fc1.weight', (8192, 28), (8192, 84))])\n"
        "[INFO|model_loader.py] Checkpoint weights loaded successfully (strict=True).\n"
    )
    report = read_load_log(text, ("_extra_state",))
    assert report.found
    assert not report.fits
    assert (report.missing, report.unexpected, report.shapes) == (["fc1.weight", "fc2.weight"], [], ["fc1.weight"])
    assert not read_load_log("nothing of the kind").found
    clean = text.replace("'fc1.weight', 'fc2.weight'", "").replace("('fc1.weight', (8192, 28), (8192, 84))", "")
    assert read_load_log(clean, ("_extra_state",)).fits
    ema = f"load ema model in non-strict mode\n{text.splitlines()[1]}\n"
    assert not read_load_log(ema).found, "a base model has no EMA weights, and needs none"


def test_the_cache_is_searched_by_pinned_revision(tmp_path: Path) -> None:
    wanted = weights.needed("2B/post-trained")
    assert len(weights.missing(wanted, tmp_path)) == 3
    for item in wanted:
        snapshot = tmp_path / "hub" / f"models--{item.repository.replace('/', '--')}" / "snapshots" / item.revision
        for name in item.files or ("config.json",):
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_text("")
    assert weights.missing(wanted, tmp_path) == []
    assert len(weights.missing(weights.needed("14B/pre-trained"), tmp_path)) == 1
    assert all(len(item.revision) == 40 for item in [*weights.COMMON, *weights.MODELS.values()])


def test_pins_are_the_same_everywhere() -> None:
    pins = tomllib.loads((ROOT / "images" / "upstreams.toml").read_text())
    assert pins["cosmos-predict2.5"]["commit"] == UPSTREAM
    assert pins["leisaac"]["commit"] == LEISAAC
    listed = {(item["repository"], item["revision"]) for item in pins["weights"]}
    assert listed == {(item.repository, item.revision) for item in [*weights.COMMON, *weights.MODELS.values()]}
    assets = {item["file"]: item["sha256"] for item in pins["assets"]}
    assert assets == {item.file: item.sha256 for item in [ROBOT, *SCENES.values()]}
    for image, pin in (("cosmos", UPSTREAM), ("isaac", LEISAAC)):
        assert pin in (ROOT / "images" / image / "Dockerfile").read_text()
    assert f"ARG ISAACLAB_COMMIT={pins['isaaclab']['commit']}" in (ROOT / "images/isaac/Dockerfile").read_text()
    idm = pins["gr00t-dreams"]["commit"]
    assert idm in (ROOT / "images" / "idm" / "Dockerfile").read_text()


def test_the_decisions_name_the_pinned_commits_and_digests() -> None:
    text = (DECISIONS / "leisaac.md").read_text() + (DECISIONS / "cosmos.md").read_text()
    for item in [ROBOT, *SCENES.values()]:
        assert item.sha256 in text
    for pin in (UPSTREAM, LEISAAC):
        assert pin[:7] in text


def test_images_keep_their_rules() -> None:
    """No Hera, not root, every base with an argument for its digest, upstream's commit as a label, no entrypoint."""
    for image in ("cosmos", "idm", "isaac"):
        text = (ROOT / "images" / image / "Dockerfile").read_text()
        code = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        assert "hera" not in code.lower().replace("[cluster", ""), image
        assert "USER 1000:1000" in code
        assert "ARG BASE_DIGEST" in code
        assert "org.leicos.upstream.commit" in code
        assert "ENTRYPOINT []" in code, "upstream's fetches at every start"
        assert "ACCEPT_EULA" not in code, "not ours to accept"
        assert (ROOT / "images" / image / "README.md").is_file()


def test_hadolint_finds_nothing() -> None:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "images").glob("*/Dockerfile"))
    assert len(files) >= 4
    done = subprocess.run([program, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_verification_says_what_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake makes pictures that have nothing to do with its input, which is found; the rest is in order."""
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB, 570.124.06'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    found = verify_cosmos(fake_settings(driver="api"), frames=20)
    outcomes = {check.name: check.outcome for check in found.checks}
    assert outcomes["gpu"] == outcomes["model loads"] == outcomes["weights fit"] == outcomes["video"] == "passed"
    assert outcomes["same seed, same video"] == "passed"
    assert outcomes["an unreadable clip costs itself"] == "passed"
    assert outcomes["begins with the last five frames"] == "failed"
    assert not found.passed
    assert found.lines()[-1].endswith("DOES NOT WORK HERE")


def test_a_clip_with_its_index_in_front_is_broken_too(tmp_path: Path) -> None:
    """Of such a file the first third can still be read."""
    plain, front = tmp_path / "plain.mp4", tmp_path / "front.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (20, 96, 128, 3), np.uint8)
    write_video(plain, noise, 30, gop=1)
    with av.open(plain) as source, av.open(front, "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = front.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    found = verify_cosmos(fake_settings(driver="api"), clip=front, frames=20)
    assert {check.name: check.outcome for check in found.checks}["an unreadable clip costs itself"] == "passed"


@pytest.mark.parametrize(
    ("variable", "text"), [("FAKE_LOAD_FAILS", "last lines"), ("FAKE_MISSING_KEYS", "does not fit")]
)
def test_a_command_line_that_does_not_load_gets_its_verdict(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the model is loaded with the first batch only, after the generator was made."""
    monkeypatch.setenv(variable, "blocks.3.mlp.weight")
    found = verify_cosmos(fake_settings(driver="cli"), frames=20)
    (video,) = [check for check in found.checks if check.name == "video"]
    assert video.outcome == "failed"
    assert text in video.text
    assert found.lines()[-1].endswith("DOES NOT WORK HERE")


def test_no_upstream_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEICOS_COSMOS", raising=False)
    assert not verify_cosmos(CosmosSettings()).passed


def test_modules_named_in_entry_points_are_light() -> None:
    """Loaded in any image, so neither torch nor Isaac nor hub clients may come with them."""
    code = (
        "import sys\n"
        "import leicos_jobs.backends.cosmos_predict25.generator, leicos_jobs.backends.cosmos_predict25.post_train\n"
        "import leicos_jobs.backends.isaac.replayer\n"
        "heavy = {'torch', 'mujoco', 'isaaclab', 'isaacsim', 'leisaac', 'transformers', 'huggingface_hub', 'hera'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
