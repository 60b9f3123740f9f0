"""What digests cost: CPU time in sha256 and seals, of all CPU time of a `leicos run`.

    python benchmarks/check_cost.py examples/lift_cube.yaml --source demos.hdf5 --out DIR

Every process of the run sums the CPU time that it spends in `leicos_jobs.core.digests` (reading and hashing files,
objects and models, writing seals and comparing them) and elsewhere in sha256 (tables and images of demos). That is more
than what checks add to reading: results are named by their digests in any case.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

MEASURING = """
import functools, hashlib, multiprocessing.util, os, time
from pathlib import Path
from leicos_jobs.core import digests
spent, inside = [0.0], [False]
def measured(function):
    @functools.wraps(function)
    def call(*arguments, **more):
        if inside[0]:
            return function(*arguments, **more)
        inside[0], begun = True, time.thread_time()
        try:
            return function(*arguments, **more)
        finally:
            inside[0] = False
            spent[0] += time.thread_time() - begun
    return call
class Sha256:
    def __init__(self, *data, **more):
        self._digest = measured(plain)(*data, **more)
        self.update = measured(self._digest.update)
    def __getattr__(self, name):
        return getattr(self._digest, name)
plain, hashlib.sha256 = hashlib.sha256, Sha256
for name, function in list(vars(digests).items()):
    if callable(function) and getattr(function, "__module__", "") == digests.__name__:
        setattr(digests, name, measured(function))
def note():
    Path(os.environ["LEICOS_DIGESTS_SPENT"], str(os.getpid())).write_text(repr(spent[0]))
multiprocessing.util.Finalize(None, note, exitpriority=0)
"""


def main() -> None:
    """Run and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "sitecustomize.py").write_text(MEASURING)
        spent = Path(name) / "spent"
        spent.mkdir()
        path = os.pathsep.join(filter(None, [name, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "leicos_jobs.cli.main", "run", options.config, "--source", options.source]
        subprocess.run(
            [*command, "--out", options.out],
            env=os.environ | {"PYTHONPATH": path, "LEICOS_DIGESTS_SPENT": str(spent)},
            check=True,
        )
        each = [float(file.read_text()) for file in spent.iterdir()]
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = usage.ru_utime + usage.ru_stime
    print(f"{len(each)} processes, {total:.1f} CPU s, of these {sum(each):.2f} in digests: {sum(each) / total:.2%}")


if __name__ == "__main__":
    main()
