"""`leicos check` of a run on S3 asks for each object once (benchmarks/check_scale.py counts it for large runs)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.flaky_proxy import flaky_proxy
from helpers.s3 import S3Server
from helpers.whole import commit_plan, commit_sample, tiny_sample

from leicos_jobs.run.check import check
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import create_run


def test_each_object_is_asked_for_once(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"source": {"files": ["/none.hdf5"], "task": "Lift."}, "generate": {"backend": "echo"}}
    uri = f"s3://{s3_environment.bucket}/asked/{tmp_path.name}"
    run = create_run(uri, RunConfig.model_validate(config), known={"/none.hdf5": "sha256:0"})
    samples = [tiny_sample(number) for number in range(3)]
    commit_plan(run, samples)
    for sample in samples:
        commit_sample(run, sample, tmp_path)
    keys = list(run.store.list(""))
    with flaky_proxy(s3_environment.endpoint, every=sys.maxsize) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        result = check(uri)
    assert result.damaged == ()
    assert (result.objects, result.uncounted) == (len(keys), 0)
    asked = {path: count for (_, path), count in proxy.asked.items() if f"/{tmp_path.name}/" in path}
    assert asked == {f"/{s3_environment.bucket}/asked/{tmp_path.name}/{key}": 1 for key in keys}
