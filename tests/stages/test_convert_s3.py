"""Recordings in S3 converted into a root in S3 by the real commands: a server that fails, names that are alike."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import leicos
from helpers.flaky_proxy import FlakyProxy, flaky_proxy
from helpers.leisaac import DemoSpec, write_recording
from helpers.lerobot import SO101, DatasetSpec, write_dataset
from helpers.s3 import S3Server

from leicos_jobs.core.digests import SEAL
from leicos_jobs.core.errors import ExitCode, InputError
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import create_run
from leicos_jobs.stages.convert import convert as convert_stage
from leicos_jobs.work.sources import fetch_source


class Bucket:
    """A prefix of its own in the server's bucket, read and written without leicos."""

    def __init__(self, server: S3Server) -> None:
        self.server, self.client, self.prefix = server, server.client(), f"test/{uuid.uuid4().hex[:8]}"

    def uri(self, key: str) -> str:
        return f"s3://{self.server.bucket}/{self.prefix}/{key}"

    def write(self, key: str, path: Path) -> str:
        self.client.upload_file(str(path), self.server.bucket, f"{self.prefix}/{key}")
        return self.uri(key)

    def read(self, key: str) -> bytes:
        found: bytes = self.client.get_object(Bucket=self.server.bucket, Key=f"{self.prefix}/{key}")["Body"].read()
        return found

    def tree(self, folder: str) -> dict[str, bytes]:
        """Every object below a folder."""
        start = f"{self.prefix}/{folder}/"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.server.bucket, Prefix=start)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key.removeprefix(start): self.read(key.removeprefix(f"{self.prefix}/")) for key in keys}


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    return Bucket(s3)


def convert(endpoint: str, server: S3Server, root: str, sources: list[str], outputs: Path) -> None:
    """`leicos start` and `leicos convert`, each twice: what is done stays done."""
    config = json.dumps({"source": {"files": sources, "task": "Lift."}})
    environ = os.environ | server.environment() | {"AWS_ENDPOINT_URL_S3": endpoint}
    start = ["start", "--run", root, "--config", config, "--outputs", str(outputs)]
    for arguments in (start, ["convert", "--run", root]) * 2:
        done = leicos(*arguments, env=environ)
        assert done.returncode == ExitCode.DONE, done.stderr


def record(bucket: Bucket, root: str) -> tuple[str, dict[str, Any]]:
    """Name and content of convert's only record, without what an attempt says of itself."""
    ((name, data),) = bucket.tree(f"{root}/records/convert").items()
    found: dict[str, Any] = json.loads(data)
    for part in ("attempt", SEAL):
        del found[part]
    return name, found


def test_a_server_that_fails_every_tenth_request_changes_no_byte(bucket: Bucket, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "demos.hdf5", [DemoSpec(rows=24 + index) for index in range(6)])
    source = bucket.write("recordings/demos.hdf5", recording)
    convert(bucket.server.endpoint, bucket.server, bucket.uri("calm"), [source], tmp_path / "outputs")
    proxy: FlakyProxy
    with flaky_proxy(bucket.server.endpoint, every=10) as proxy:
        convert(proxy.endpoint, bucket.server, bucket.uri("troubled"), [source], tmp_path / "outputs")

    calm, troubled = bucket.tree("calm/dataset"), bucket.tree("troubled/dataset")
    assert len(calm) > 15
    assert troubled == calm
    assert record(bucket, "troubled") == record(bucket, "calm")
    assert proxy.count("lost"), proxy.seen
    assert proxy.count("refused"), proxy.seen


def test_sources_of_the_same_name_in_two_folders_are_both_converted(bucket: Bucket, tmp_path: Path) -> None:
    """They lie on one disk while they are converted; neither may replace the other. Their names are taken whole."""
    one = write_recording(tmp_path / "one.hdf5", [DemoSpec(rows=24)])
    two = write_recording(tmp_path / "two.hdf5", [DemoSpec(rows=40), DemoSpec(rows=30)])
    sources = [bucket.write("monday #1/my demo?.hdf5", one), bucket.write("tuesday/50%25/my demo?.hdf5", two)]

    convert(bucket.server.endpoint, bucket.server, bucket.uri("run"), sources, tmp_path / "outputs")

    folder = record(bucket, "run")[1]["folder"]
    episodes, origins = (
        [json.loads(line) for line in bucket.read(f"run/{folder}/meta/leicos/{name}.jsonl").splitlines()]
        for name in ("episodes", "origins")
    )
    pairs = zip(origins, episodes, strict=True)
    found = [(origin["file"], origin["demo"], entry["frames"]) for origin, entry in pairs]
    assert found == [(sources[0], "demo_0", 9), (sources[1], "demo_0", 17), (sources[1], "demo_1", 12)]
    assert len({entry["demo_sha256"] for entry in episodes}) == 3


def test_a_source_that_the_disk_has_no_room_for_is_an_error_of_the_set_up(
    bucket: Bucket, tmp_path: Path, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = bucket.write("large/demos.hdf5", write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=24)]))
    run = create_run(str(tmp_path / "run"), RunConfig.model_validate({"source": {"files": [source], "task": "Lift."}}))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    with pytest.raises(InputError, match=r"s3://.*/large/demos.hdf5: has .* room for 0\.0 GB"):
        fetch_source(source, run, tmp_path)


@pytest.mark.parametrize("source", ["run:../../elsewhere.hdf5", "run:/etc/passwd", "run:"])
def test_a_source_outside_the_run_is_refused_by_name(source: str, tmp_path: Path) -> None:
    config = RunConfig.model_validate({"source": {"files": [source], "task": "Lift."}})
    with pytest.raises(InputError, match=f"{source} lies outside the run"):
        create_run(str(tmp_path / "run"), config)
    run = create_run(str(tmp_path / "run"), config, known={source: "sha256:0"})
    with pytest.raises(InputError, match=f"{source} lies outside the run"):
        fetch_source(source, run, tmp_path)


def test_a_dataset_in_s3_is_read_whole_and_noticed_when_it_changes(s3_environment: S3Server, tmp_path: Path) -> None:
    bucket, source = Bucket(s3_environment), write_dataset(tmp_path / "any", DatasetSpec(version="v3.0", names=SO101))
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        bucket.write(f"any/{path.relative_to(source).as_posix()}", path)
    config = config_for([bucket.uri("any")], None)
    assert config.source.files == (bucket.uri("any"),)
    run = create_run(str(tmp_path / "run"), config)
    assert convert_stage(run).facts["episodes"] == 3
    bucket.write("any/meta/more.json", source / "meta/info.json")
    with pytest.raises(InputError, match="has changed"):
        fetch_source(bucket.uri("any"), run, tmp_path / "scratch", whole=True)
