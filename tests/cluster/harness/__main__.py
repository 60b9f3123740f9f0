"""`python -m tests.cluster.harness check|build|up|down|status`: the cluster without a test around it."""

from __future__ import annotations

import argparse
import sys

from . import machine, parts
from .cluster import Cluster, missing
from .places import KUBECONFIG, LOGS
from .processes import HarnessError


def main() -> int:
    """Run one command; its exit code is 0 when it did what it says, `check` always says only."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.harness", description=__doc__)
    commands = {
        "check": (check, "say whether cluster tests can run here, and what is lacking; never fails"),
        "build": (build, "install and compile all programs, start nothing"),
        "up": (up, "start a cluster and leave it running for the tests to use"),
        "down": (down, "stop it, and whatever a killed test run left"),
        "status": (status, "say whether one is running"),
    }
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (function, text) in commands.items():
        subparsers.add_parser(name, help=text).set_defaults(function=function)
    try:
        return int(parser.parse_args().function())
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def check() -> int:
    """Tell, loudly when it matters; an absent Argo is no failure of the project."""
    lacking = missing()
    if lacking is None:
        sys.stdout.write("cluster tests can run here\n")
    else:
        bar = "=" * 100
        sys.stdout.write(f"{bar}\n{lacking}\n{bar}\n")
    return 0


def build() -> int:
    """Provide the programs."""
    parts.provide()
    return 0


def up() -> int:
    """Start and leave running."""
    if lacking := missing():
        raise HarnessError(lacking)
    with machine.locked():
        if machine.found() is None:
            machine.keep(machine.up())
    with Cluster() as cluster:
        store = cluster.store
    sys.stdout.write(
        f"export KUBECONFIG={KUBECONFIG}\n"
        f"export AWS_ENDPOINT_URL={store.endpoint} AWS_ACCESS_KEY_ID={store.access_key} "
        f"AWS_SECRET_ACCESS_KEY={store.secret_key}\n"
        f"# bucket {store.bucket}; logs in {LOGS}\n"
    )
    return 0


def down() -> int:
    """Stop and say what stays."""
    with machine.locked():
        machine.down()
    left = machine.leftovers()
    sys.stderr.writelines(f"left behind: {what}\n" for what in left)
    return 1 if left else 0


def status() -> int:
    """Say whether a cluster runs."""
    running = machine.found() is not None
    sys.stdout.write(f"a cluster is running: export KUBECONFIG={KUBECONFIG}\n" if running else "none is running\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
