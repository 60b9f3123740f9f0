"""The whole-system identity test: ids in the pixels, trouble in the workers, kills, two of one worker, rounds."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from helpers import process_tree
from helpers.identity import check_dataset, environment, forking_leicos, leicos, write_config
from helpers.plots import SPARE

from leicos_jobs.store import Store, open_store

SAMPLES = 200
WORKERS = 3
PAUSE, WORKER_SECONDS = 0.25, 10
"""Workers take longer than their budget, so that what is left goes to another round; replay has none and goes on."""
KILLS = (("generate", 20, 80), ("label", 135, 165))
"""Stage, and the least and the most samples that it has committed when the whole tree is killed."""


def _copy_down(uri: str, target: Path, server) -> Path:
    if not uri.startswith("s3://"):
        return Path(uri)
    client, prefix = server.client(), uri.removeprefix(f"s3://{server.bucket}/")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket, Prefix=prefix + "/")
    for page in pages:
        for item in page.get("Contents", []):
            path = target / item["Key"][len(prefix) + 1 :]
            if path.parts[len(target.parts)] in ("synthetic", "plan"):
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(server.bucket, item["Key"], str(path))
    return target


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_every_row_is_its_own_samples(place: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("s3_environment") if place == "s3" else None
    uri = f"s3://{server.bucket}/identity/{tmp_path.name}" if server else str(tmp_path / "run")
    config = write_config(
        tmp_path,
        samples=SAMPLES,
        trouble=0.04,
        pause=PAUSE,
        replay_pause=PAUSE,
        workers=WORKERS,
        worker_seconds=WORKER_SECONDS,
    )
    scratch = tmp_path / "scratch"  # a killed run cannot tidy up
    scratch.mkdir()
    environ = environment(SPARE | {"TMPDIR": str(scratch)} | (server.environment() if server else {}))
    # on S3 no fork: threads of the S3 client do not live on in one
    command = (leicos if server else forking_leicos)(
        "run", str(config), "--out", uri, "--workers", "3", "--max-rounds", "20"
    )
    store, meddlers = open_store(uri), []
    with (tmp_path / "log").open("w") as log:
        for stage, least, most in KILLS:
            process = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=log, stderr=log)
            meddlers.append(Meddler(uri, environ, tmp_path, process))
            _kill(process, store, stage, random.randint(least, most))
        for meddler in meddlers:
            meddler.join()
        done = subprocess.run(command, env=environ, cwd=tmp_path, stdout=log, stderr=log, timeout=600, check=False)
    assert done.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    check_dataset(_copy_down(uri, tmp_path / "copy", server), SAMPLES)

    begun = {key for path in tmp_path.glob("run*/**/logs/*/*.log") for key in _begun(path.name, path.read_text())}
    assert begun & {key for meddler in meddlers for key in meddler.begun}, "no two workers worked on the same sample"
    rounds = [key.split("/")[1:3] for key in store.list("rounds/") if key.endswith("/round.json")]
    assert any(number != "00" for _, number in rounds), "no workflow needed a second round"


def _committed(store: Store, stage: str) -> int:
    return len({key.split("/")[1] for key in store.list(f"{stage}/") if key.endswith(".json")})


def _kill(process: subprocess.Popen[bytes], store: Store, stage: str, wanted: int) -> None:
    """SIGKILL to a run's whole tree as soon as `stage` has committed so many samples, with others still to do."""
    while process.poll() is None:
        if _committed(store, stage) >= wanted:
            frozen = process_tree.freeze(process.pid)
            at_work = process_tree.works_on(stage, frozen)
            if at_work and _committed(store, stage) < SAMPLES:
                process_tree.send(frozen, signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
                return
            process_tree.send(frozen, signal.SIGCONT)
        time.sleep(0.1)
    pytest.fail(f"the run ended before its kill, with {_committed(store, stage)} samples through {stage}")


def _begun(name: str, text: str) -> set[tuple[str, str]]:
    """(stage, sample) of what a worker's log says was begun. `name` holds the stage: NODE.STAGE(ATTEMPT).log"""
    stage = re.findall(r"(generate|label)", name)
    return {(stage[-1], sample) for sample in re.findall(r"backend\.started sample=(\w+)", text)} if stage else set()


class Meddler(threading.Thread):
    """A second attempt of a worker that is at work: whichever commits first wins, and nothing else changes."""

    def __init__(self, uri: str, environ: dict[str, str], folder: Path, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.uri, self.environ, self.folder, self.process = uri, environ, folder, process
        self.store = open_store(uri)
        self.known = set(self._claimed())
        self.begun: set[tuple[str, str]] = set()
        self.start()

    def _claimed(self) -> set[tuple[str, str]]:
        """Workflow and number of each round of which a worker has taken something."""
        keys = (key.split("/") for key in self.store.list("rounds/") if "/claims/" in key)
        return {(workflow, number) for _, workflow, number, *_ in keys if number.isdigit()}

    def run(self) -> None:
        """Join the first worker of the first round that this start of the run works on."""
        while self.process.poll() is None:
            if fresh := sorted(self._claimed() - self.known):
                workflow, number = fresh[0]
                self._work("--workflow", workflow, "--round", number, "--worker", "0")
                return
            time.sleep(0.1)

    def _work(self, *where: str) -> None:
        for stage in ("generate", "label"):
            command = leicos(stage, "--run", self.uri, *where)
            done = subprocess.run(
                command, env=self.environ, cwd=self.folder, capture_output=True, text=True, check=False
            )
            self.begun |= _begun(stage, done.stderr)
