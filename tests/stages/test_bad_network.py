"""Whole runs on S3 through a proxy that disturbs every fifth request: each ends by itself, with the dataset of a run
that nothing disturbed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.flaky_proxy import BadProxy, bad_proxy
from helpers.identity import environment, leicos, only_folder, write_config
from helpers.s3 import S3Server

from leicos_jobs.run.check import check
from leicos_jobs.store import open_store

SHARE = 0.2
RUNS = 20
STARTS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("network"), demos=3, samples=6, workers=2)


def run(config: Path, uri: str, log: Path, **more: str) -> int:
    """By `leicos` itself: the S3 client's threads do not live on in a fork."""
    command = leicos("run", str(config), "--out", uri, "--workers", "2")
    with log.open("ab") as stream:
        return subprocess.run(command, env=environment(more), cwd=log.parent, stdout=stream, stderr=stream).returncode


def dataset(folder: Path) -> dict[str, object]:
    """Meta files' bytes, parquet values, videos' bytes."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: pq.read_table(path).to_pydict() if path.suffix == ".parquet" else path.read_bytes()
        for name, path in files.items()
    }


@pytest.fixture(scope="module")
def wanted(config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    root = tmp_path_factory.mktemp("alone") / "run"
    log = root.with_suffix(".log")
    assert run(config, str(root), log) == 0, log.read_text()[-3000:]
    return dataset(only_folder(root / "synthetic"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(RUNS))
def test_a_run_through_a_bad_network_ends_by_itself_with_the_same_dataset(
    seed: int, config: Path, wanted: dict[str, object], s3_environment: S3Server, tmp_path: Path
) -> None:
    folder = ("plain", "a b+c%2Fü")[seed % 2]  # names that boto3 alone writes into a URL, and others
    uri, log = f"s3://{s3_environment.bucket}/{folder}/{tmp_path.name}", tmp_path / "log"
    with bad_proxy(s3_environment.endpoint, SHARE, seed) as proxy:
        codes = []
        while not codes or (codes[-1] == 75 and len(codes) < STARTS):
            given = s3_environment.environment() | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}
            codes.append(run(config, uri, log, **given))
    assert codes[-1] == 0, log.read_text()[-3000:]
    for fate in BadProxy.FATES:
        assert proxy.count(fate) > 0, proxy.seen
    print(f"{len(codes)} starts, {proxy.seen.total()} requests, {proxy.seen.total() - proxy.count('passed')} disturbed")
    store = open_store(uri)
    for key in store.list("synthetic/"):
        path = tmp_path / "copy" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(key))
    assert dataset(only_folder(tmp_path / "copy/synthetic")) == wanted
    assert check(uri).damaged == ()
    assert list(store.list("failures/")) == [], "the network was counted against a sample"
