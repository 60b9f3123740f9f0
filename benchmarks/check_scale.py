"""What `leicos check` asks a server for: a run of N samples on the tests' S3 server, every request counted.

    python benchmarks/check_scale.py --samples 10000

The run is made by the run's own commits, of tiny objects: the plan with a start and a clip per sample, and per sample
a video, a verdict, labels, a replay and a truth. The proxy before the server counts requests by object while `check`
runs. Each object should be asked for once.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.flaky_proxy import flaky_proxy
from helpers.s3 import S3Server, s3_server
from helpers.whole import commit_plan, commit_sample, tiny_sample

from leicos_jobs.run.check import check
from leicos_jobs.run.config import RunConfig
from leicos_jobs.run.opened import Run, create_run

CONFIG = {"source": {"files": ["/none.hdf5"], "task": "Lift."}, "generate": {"backend": "echo"}}
KNOWN = {"/none.hdf5": "sha256:" + "0" * 64}
WRITERS = 16


def make(uri: str, count: int) -> Run:
    """The run."""
    run = create_run(uri, RunConfig.model_validate(CONFIG), known=KNOWN)
    items = [tiny_sample(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(WRITERS) as pool:
        for done, _ in enumerate(pool.map(lambda item: commit_sample(run, item, Path(name)), items)):
            if done % 1000 == 0:
                print(f"{done} of {count} samples", file=sys.stderr, flush=True)
    commit_plan(run, items)
    return run


def looked(server: S3Server, prefix: str) -> Counter[tuple[str, str]]:
    """Check the run through a proxy; (method, path) -> requests."""
    with flaky_proxy(server.endpoint, every=sys.maxsize) as proxy:
        os.environ["AWS_ENDPOINT_URL_S3"] = proxy.endpoint
        begun, used = time.monotonic(), cpu()
        result = check(f"s3://{server.bucket}/{prefix}")
        print(f"{result.objects} objects, {len(result.damaged)} damaged, {result.uncounted} that no record names")
        print(f"{time.monotonic() - begun:.0f} s by the clock, {cpu() - used:.0f} CPU s (the proxy's included)")
        assert not result.damaged
        return proxy.asked


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Make, check and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    with s3_server() as server:
        os.environ.update(server.environment())
        prefix = "runs/scale"
        make(f"s3://{server.bucket}/{prefix}", options.samples)
        asked = looked(server, prefix)
    objects = {key: count for key, count in asked.items() if f"/{prefix}/" in key[1]}
    listings = sum(asked.values()) - sum(objects.values())
    print(f"{len(objects)} objects asked for, {sum(objects.values())} requests, {listings} listings")
    print(f"asked for more than once: {[key for key, count in objects.items() if count > 1][:10]}")


if __name__ == "__main__":
    main()
