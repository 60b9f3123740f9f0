"""The generator against a fake upstream that behaves like the real one where it hurts."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cosmos_helpers import fake_settings, requests
from helpers.generate_worker import FPS, FRAMES, HEIGHT, WIDTH, read_journal

from leicos_jobs.backends.cosmos_predict25.command_line import CommandLine
from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator, GenerationError
from leicos_jobs.backends.cosmos_predict25.resident import Resident
from leicos_jobs.backends.cosmos_predict25.settings import UPSTREAM, CosmosSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.media.probe import verify

DRIVERS = ("api", "cli")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_JOURNAL", str(tmp_path / "journal"))
    return tmp_path / "journal"


class Log:
    """What the worker would see: starts, results and the end of a batch."""

    def __init__(self, generator: CosmosGenerator, folder: Path, prompts: list[str]) -> None:
        self.events: list[str] = []
        self.error: BaseException | None = None
        try:
            for result in generator.process(requests(folder, prompts), self._started):
                self.events.append(f"result {int(result.sample)}")
                verify(result.video, frames=FRAMES, fps=FPS, size=(WIDTH, HEIGHT))
        except (GenerationError, SystemExit) as error:
            self.error = error

    def _started(self, sample: str) -> None:
        self.events.append(f"start {int(sample)}")


@pytest.fixture(params=DRIVERS)
def generator(request: pytest.FixtureRequest, tmp_path: Path, journal: Path) -> Iterator[CosmosGenerator]:
    made = CosmosGenerator(fake_settings(driver=request.param), None, tmp_path / "work")
    yield made
    made.close()


def test_every_video_comes_verified_in_order_and_at_the_datasets_rate(
    generator: CosmosGenerator, tmp_path: Path, journal: Path
) -> None:
    log = Log(generator, tmp_path / "a", ["Lift_it"] * 3)
    assert log.error is None
    assert [event for event in log.events if event.startswith("result")] == ["result 0", "result 1", "result 2"]
    assert log.events.index("start 1") < log.events.index("result 1")
    assert [entry["name"] for entry in read_journal(journal)].count("load") == 1


def test_a_bad_sample_costs_only_itself_and_is_blamed(generator: CosmosGenerator, tmp_path: Path) -> None:
    """Declined by the guardrail (no video, exit code 0) and a video that is too short; the others come through."""
    for fault in ("BLOCK", "SHORT"):
        log = Log(generator, tmp_path / fault, ["fine", fault, "fine", "fine"])
        assert sorted(event for event in log.events if "result" in event) == ["result 0", "result 2", "result 3"]
        assert log.events[-1] == "start 1", "the last one announced is the one that is blamed"
        assert isinstance(log.error, GenerationError)
        assert ("guardrail" if fault == "BLOCK" else "93 frames") in str(log.error)


@pytest.mark.parametrize("fault", ["RAISE", "OOM"])
def test_an_exception_is_caught_a_sample_where_the_classes_allow_it(fault: str, tmp_path: Path, journal: Path) -> None:
    generator = CosmosGenerator(fake_settings(driver="api"), None, tmp_path / "work")
    log = Log(generator, tmp_path / "a", ["fine", fault, "fine", "fine", "fine"])
    assert sorted(event for event in log.events if "result" in event) == [f"result {n}" for n in (0, 2, 3, 4)]
    assert log.events[-1] == "start 1"
    assert ("out of memory" if fault == "OOM" else "ValueError: Failed to load video") in str(log.error)
    again = Log(generator, tmp_path / "b", ["fine"])
    assert again.error is None
    assert [entry["name"] for entry in read_journal(journal)].count("load") == 1, "the model stays loaded"
    generator.close()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("fault", ["KILL", "CUDA"])
def test_upstreams_death_is_blamed_on_the_sample_in_hand(
    fault: str, driver: str, tmp_path: Path, journal: Path
) -> None:
    generator = CosmosGenerator(fake_settings(driver=driver), None, tmp_path / "work")
    log = Log(generator, tmp_path / "a", ["fine", fault, "fine"])
    assert log.events == ["start 0", "result 0", "start 1"]
    assert isinstance(log.error, GenerationError)
    assert "exit code" in str(log.error) or "CUDA error" in str(log.error)
    again = Log(generator, tmp_path / "b", ["fine", "fine"])
    assert again.error is None
    assert len(again.events) == 4, "the next batch starts upstream anew"
    assert [entry["name"] for entry in read_journal(journal)].count("load") == 2
    generator.close()


def test_a_video_that_was_being_written_is_never_taken(tmp_path: Path, journal: Path) -> None:
    """The command line, slowed down: half of the file lies there for a while, and nothing is yielded before its end."""
    os.environ["FAKE_SECONDS"] = "1.0"
    try:
        generator = CosmosGenerator(fake_settings(driver="cli"), None, tmp_path / "work")
        begun, times = time.monotonic(), []
        for _ in generator.process(requests(tmp_path / "a", ["fine", "fine"]), lambda _sample: None):
            times.append(time.monotonic() - begun)
    finally:
        del os.environ["FAKE_SECONDS"]
    assert times[0] >= 1.0
    assert times[1] >= times[0] + 0.9, "the first is yielded when the second begins, not at the end of the batch"


@pytest.mark.parametrize(("code", "stop_after", "results"), [("0", "1", 1), ("3", "1", 1), ("3", "100", 2)])
def test_exit_codes_are_not_believed(
    code: str, stop_after: str, results: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 0 with a sample missing is that sample's failure; a bad exit after the last good video is success."""
    monkeypatch.setenv("FAKE_EXIT", code)
    monkeypatch.setenv("FAKE_STOP_AFTER", stop_after)
    generator = CosmosGenerator(fake_settings(driver="cli"), None, tmp_path / "work")
    log = Log(generator, tmp_path / "a", ["fine", "fine"])
    assert sum("result" in event for event in log.events) == results
    assert (log.error is None) == (results == 2)
    if code == "0":
        assert "never began" in str(log.error)


def test_nothing_to_do_does_not_start_upstream(tmp_path: Path, journal: Path) -> None:
    """Upstream exits with 1 when all is skipped; we never ask it."""
    generator = CosmosGenerator(fake_settings(driver="cli"), None, tmp_path / "work")
    assert list(generator.process([], lambda _sample: None)) == []
    assert read_journal(journal) == []


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream logs missing keys and goes on; so the model would make noise at exit code 0."""
    monkeypatch.setenv("FAKE_MISSING_KEYS", "blocks.3.mlp.weight")
    with pytest.raises(InputError, match=r"blocks\.3\.mlp\.weight"):
        CosmosGenerator(fake_settings(driver="api"), None, tmp_path / "a")
    generator = CosmosGenerator(fake_settings(driver="cli"), None, tmp_path / "b")
    with pytest.raises(InputError, match=r"blocks\.3\.mlp\.weight"):
        list(generator.process(requests(tmp_path / "c", ["fine"]), lambda _sample: None))
    monkeypatch.setenv("FAKE_MISSING_KEYS", "blocks.3.attn._extra_state")
    CosmosGenerator(fake_settings(driver="api"), None, tmp_path / "d").close()


def test_a_model_that_does_not_load_is_no_samples_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = CosmosGenerator(fake_settings(driver="api"), None, tmp_path / "a")
    Log(generator, tmp_path / "b", ["KILL"])
    monkeypatch.setenv("FAKE_LOAD_FAILS", "1")
    log = Log(generator, tmp_path / "c", ["fine"])
    assert isinstance(log.error, SystemExit)
    assert log.events == []


def test_distributed_variables_do_not_reach_upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake refuses them, as the real one would take them for an order to join a group."""
    for name, value in {"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0", "MASTER_ADDR": "x"}.items():
        monkeypatch.setenv(name, value)
    generator = CosmosGenerator(fake_settings(driver="api"), None, tmp_path / "work")
    assert Log(generator, tmp_path / "a", ["fine"]).error is None
    generator.close()


def test_upstream_dies_with_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker killed outright leaves no process that holds the GPU."""
    monkeypatch.setenv("FAKE_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("FAKE_SECONDS", "60")
    code = (
        "import sys; here = sys.argv[1]; sys.path[:0] = [here, here + '/../..']\n"
        "from pathlib import Path\n"
        "from cosmos_helpers import fake_settings, requests\n"
        "from leicos_jobs.backends.cosmos_predict25.generator import CosmosGenerator\n"
        "work = Path(sys.argv[2])\n"
        "made = CosmosGenerator(fake_settings(driver=sys.argv[3]), None, work / 'w')\n"
        "list(made.process(requests(work / 'r', ['fine']), lambda sample: None))\n"
    )
    for driver in DRIVERS:
        journal = tmp_path / "journal"
        journal.unlink(missing_ok=True)
        arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / driver), driver]
        worker = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(read_journal(journal)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = read_journal(journal)[-1]["pid"]
        worker.kill()
        worker.wait()
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()


def test_auto_takes_the_command_line_where_the_classes_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    old = tmp_path / "old"
    shutil.copytree(fake_settings().checkout or "", old)
    (old / "cosmos_oss" / "init.py").write_text("")
    settings = CosmosSettings(checkout=str(old), python=sys.executable)
    made = CosmosGenerator(settings, None, tmp_path / "work")
    assert isinstance(made.runner, CommandLine)
    with pytest.raises(InputError, match="driver: cli"):
        CosmosGenerator(settings.model_copy(update={"driver": "api"}), None, tmp_path / "work2")
    made = CosmosGenerator(fake_settings(), None, tmp_path / "work3")
    assert isinstance(made.runner, Resident)
    made.close()


def test_settings_have_the_tutorials_values_and_places_stay_out_of_identities() -> None:
    settings = CosmosSettings(checkout="/somewhere", python="/else", batch=7, driver="cli", offload=("tokenizer",))
    assert settings.model_dump(mode="json", exclude_defaults=True) == {}
    assert pickle.loads(pickle.dumps(settings)).checkout == "/somewhere"
    assert (settings.guidance, settings.num_steps, settings.chunk_size, settings.chunk_overlap) == (7, 35, 77, 1)
    assert CosmosGenerator.upstream == UPSTREAM
    assert CosmosGenerator.trained
    trained = CosmosSettings(post_train={"steps": 5000})
    assert CosmosGenerator.identity(trained) == {}


@pytest.mark.parametrize(("frames", "chunks"), [(93, 2), (77, 1), (153, 2), (154, 3), (210, 3)])
def test_seeds_of_one_start_stand_as_far_apart_as_a_video_has_chunks(frames: int, chunks: int) -> None:
    assert CosmosGenerator.seeds_per_sample(CosmosSettings(), frames) == chunks
    assert CosmosGenerator.seeds_per_sample(CosmosSettings(autoregressive=False), frames) == 1


def test_runs_that_cosmos_cannot_make_are_refused_early() -> None:
    CosmosGenerator.check_run(CosmosSettings(), 210, 640, 480)
    CosmosGenerator.check_run(CosmosSettings(resolution="480,640"), 210, 640, 480)
    for settings, geometry in (
        (CosmosSettings(resolution="480,640"), (210, 320, 240)),
        (CosmosSettings(), (210, 330, 240)),
        (CosmosSettings(autoregressive=False), (210, 640, 480)),
    ):
        with pytest.raises(InputError):
            CosmosGenerator.check_run(settings, *geometry)


def test_the_wrong_commit_is_refused(tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "checkout"
    shutil.copytree(fake_settings().checkout or "", other)
    (other / ".leicos-commit").write_text("1" * 40 + "\n")
    settings = CosmosSettings(checkout=str(other), python=sys.executable)
    with pytest.raises(InputError, match="111111"):
        CosmosGenerator(settings, None, tmp_path / "w")
    CosmosGenerator(settings.model_copy(update={"commit": "1" * 40}), None, tmp_path / "w2").close()
