"""A worker with nothing to do imports neither PyAV nor pyarrow nor torch: it is done before they would be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.whole import commit_episodes, commit_plan, commit_whole

from leicos_jobs.core import stages
from leicos_jobs.run import layout
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run, create_run
from leicos_jobs.run.results import read_states
from leicos_jobs.run.rounds import Round, write_round
from leicos_jobs.run.samples import Sample

HEAVY = ("av", "h5py", "mujoco", "pyarrow", "torch")
DEMOS = ("1" * 64, "2" * 64)
COMMAND = f"""
import sys
from leicos_jobs.cli.main import main
try:
    main()
except SystemExit as end:
    print("heavy:", *[name for name in {HEAVY} if name in sys.modules])
    raise
print("heavy:", *[name for name in {HEAVY} if name in sys.modules])
"""


def sample(number: int) -> Sample:
    return Sample(
        id=f"{number:020x}", demo=f"demo_{number}", demo_sha256=DEMOS[number], episode=number, split="train", row0=5,
        frames=140, prompt="Lift", seed=21, start=f"{number:020x}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two samples through all stages; no bytes lie behind their records, for nobody may ask for them."""
    config = RunConfig.model_validate({"source": {"files": ["a.hdf5"], "task": "Lift."}})
    run = create_run(str(tmp_path_factory.mktemp("done") / "run"), config, known={"a.hdf5": "sha256:0"})
    commit_episodes(
        run,
        [
            Episode(
                episode_index=number, file="a.hdf5", demo=f"demo_{number}", demo_sha256=digest, tables_sha256=digest,
                first_row=5, stride=2, frames=150, control_hz=60.0,
            )
            for number, digest in enumerate(DEMOS)
        ],
    )  # fmt: skip
    samples = [sample(number) for number in range(len(DEMOS))]
    commit_plan(run, samples)
    commit_whole(run, "train-idm")
    for stage in stages.SAMPLE:
        for state in read_states(run, samples, stage):
            facts = {"passed": True, "reasons": []} if stage == "gate" else {}
            record = Record(stage=stage, key=state.keys[stage], sample=state.sample.id, sha256="0" * 64, facts=facts)
            run.commits.commit(record)
    ids = tuple(item.id for item in samples)
    for name, planned in (
        ("00", Round(workers=1, samples=ids, made=ids)),
        *((n, Round(workers=1, samples=ids)) for n in ("replay", "controls")),
    ):
        write_round(run, layout.round_folder("w", name), planned)
    return run


@pytest.mark.parametrize("stage", stages.SAMPLE)
def test_a_worker_that_finds_all_done_brings_nothing_heavy(finished: Run, stage: str) -> None:
    where = ["--workflow", "w", "--worker", "0", *(["--round", "0"] if stages.STAGES[stage].in_round else [])]
    command = [sys.executable, "-c", COMMAND, stage, "--run", str(Path(finished.store.uri)), *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{stage}.nothing_to_do samples=2" in done.stderr + done.stdout
    assert done.stdout.splitlines()[-1].strip() == "heavy:"
