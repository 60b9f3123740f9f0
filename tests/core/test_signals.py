"""A request to stop is heard whichever thread the kernel gives the signal to, whatever the main thread waits for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

SCRIPT = """
import os, signal, sys, threading, time
from leicos_jobs.core import signals
from leicos_jobs.core.errors import RetryError

signals.install()
signals.install()
released = threading.Event()

def work():
    print("ready", flush=True)
    while not signals.stopping():
        time.sleep(0.01)
    print("stopping", flush=True)
    released.set()

thread = threading.Thread(target=work)
thread.start()
if sys.argv[1] == "other thread":
    # What the kernel may do with a process's signal: another thread's handler runs, and the main thread sleeps on.
    threading.Timer(0.3, lambda: signal.pthread_kill(thread.ident, signal.SIGTERM)).start()
released.wait()
if sys.argv[1] == "twice":
    time.sleep(60)
try:
    signals.check()
except RetryError as error:
    sys.exit(error.exit_code)
"""


@contextmanager
def started(case: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, case], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_signal_that_another_thread_received_stops_a_waiting_main_thread() -> None:
    with started("other thread") as process:
        assert process.wait(30) == 75


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_a_second_one_ends_at_once(number: signal.Signals) -> None:
    with started("twice") as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "stopping\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == -number


FORKED = """
import os, signal, sys, time
from leicos_jobs.core import signals

signals.install()
if os.fork() == 0:
    signal.raise_signal(signal.SIGTERM)
    os._exit(0)
os.wait()
time.sleep(0.3)
sys.exit(signals.stopping())
"""


def test_a_signal_to_a_forked_child_does_not_stop_its_parent() -> None:
    assert subprocess.run([sys.executable, "-c", FORKED], check=False).returncode == 0
