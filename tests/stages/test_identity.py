"""The whole-system identity test: ids in the pixels, trouble in the workers, kills, two workers on a shard, rounds."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from helpers.identity import check_dataset, environment, leicos, write_config

SAMPLES = 200


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
    config = write_config(tmp_path, samples=SAMPLES, trouble=0.04)
    environ = environment(server.environment() if server else None)
    command = leicos("run", str(config), "--out", uri, "--workers", "3", "--max-rounds", "4")
    log = (tmp_path / "log").open("w")
    for delay in (9 + 4 * random.random(), 13 + 5 * random.random()):
        process = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
        meddler = threading.Thread(target=_meddle, args=(uri, environ, tmp_path, process), daemon=True)
        meddler.start()
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            import os

            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        meddler.join()
    done = subprocess.run(command, env=environ, cwd=tmp_path, stdout=log, stderr=log, timeout=600, check=False)
    assert done.returncode == 0, (tmp_path / "log").read_text()[-3000:]
    check_dataset(_copy_down(uri, tmp_path / "copy", server), SAMPLES)


def _meddle(uri: str, environ: dict[str, str], folder: Path, process: subprocess.Popen[bytes]) -> None:
    """A second worker on a shard that is being worked on: whichever commits first wins, and nothing else changes."""
    from leicos_jobs.store import open_store

    store = open_store(uri)
    while process.poll() is None:
        shards = [key for key in store.list("plan/rounds/") if key.endswith(".jsonl")]
        if shards:
            _, _, workflow, number, name = shards[-1].split("/")
            where = ("--run", uri, "--workflow", workflow, "--round", number, "--shard", str(int(name[:5])))
            for stage in ("generate", "label"):
                subprocess.run(leicos(stage, *where), env=environ, cwd=folder, capture_output=True, check=False)
            return
        time.sleep(0.3)
