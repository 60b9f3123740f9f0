"""leicos view: what its pages show, what they must not do, and that a browser plays them."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("jinja2")

from helpers.chromium import chromium
from helpers.s3 import S3Server
from helpers.whole import commit_episodes, commit_plan, tiny_sample

from leicos_jobs.core.errors import InputError
from leicos_jobs.run import failures
from leicos_jobs.run.commits import Record
from leicos_jobs.run.config import parse_config
from leicos_jobs.run.episodes import Episode
from leicos_jobs.run.opened import Run, create_run, open_run
from leicos_jobs.run.results import Results
from leicos_jobs.view.files import part
from leicos_jobs.view.index import PAGE, Index, Query
from leicos_jobs.view.pages import Pages
from leicos_jobs.view.server import serve

pytestmark = pytest.mark.xdist_group("small-run")
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def planned(uri: str, count: int) -> Run:
    """A run with a plan of samples; every third demo has a hostile name."""
    config = parse_config("{source: {files: [a], task: Lift.}}", "test")
    run = create_run(uri, config, known={"a": "sha256:0"})
    episode = Episode(
        episode_index=0, demo_sha256="0" * 64, tables_sha256="0" * 64, first_row=5, stride=2, frames=50,
        control_hz=60.0, file=HOSTILE, demo=HOSTILE,
    )  # fmt: skip
    commit_episodes(run, [episode])
    names = {0: HOSTILE}
    samples = [
        tiny_sample(number).model_copy(update={"demo": names.get(number % 3, "demo_1")}) for number in range(count)
    ]
    commit_plan(run, samples)
    return run


def quarantine(run: Run, number: int, error: str) -> str:
    """Note as many failures of a sample's generation as set it aside; returns its id."""
    sample = Results(run).samples()[number]
    key = Results(run).rules().key("generate", sample, {})
    assert key is not None
    for _ in range(run.config.rounds.quarantine_after):
        failures.note(
            run.store, failures.Failure(stage="generate", sample=sample.id, key=key, kind="failed", error=error)
        )
    return sample.id


def generated(run: Run, scratch: Path) -> Record:
    """Commit a video of the first sample, which is none."""
    sample = Results(run).samples()[0]
    key = Results(run).rules().key("generate", sample, {})
    assert key is not None
    (scratch / "a.mp4").write_bytes(b"video")
    return run.commits.commit(Record(stage="generate", sample=sample.id, key=key), scratch / "a.mp4")


@contextmanager
def serving(run: Run) -> Iterator[int]:
    """The port of a viewer at work."""
    with tempfile.TemporaryDirectory() as scratch, serve(run, Path(scratch), 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, (0, 99)), ("bytes=0-", (0, 99)), ("bytes=10-19", (10, 19)), ("bytes=90-500", (90, 99)),
        ("bytes=-10", (90, 99)), ("bytes=-500", (0, 99)), ("bytes=100-", None), ("bytes=20-10", None),
        ("bytes=-0", None),
        ("bytes=0-1,5-6", (0, 99)), ("lines=1-2", (0, 99)), ("bytes=-", (0, 99)),
    ],
)  # fmt: skip
def test_a_range_is_read_as_the_standard_says(header: str | None, found: tuple[int, int] | None) -> None:
    assert part(header, 100) == found


def test_names_are_shown_as_text_and_failures_with_their_reason(tmp_path: Path) -> None:
    run = planned(str(tmp_path / "run"), 9)
    name = quarantine(run, 1, f"cannot: {HOSTILE}")
    with serving(run) as port:
        for path in ("/", "/failures", f"/sample/{name}"):
            answer, body = ask(port, path)
            assert answer.status == 200, (path, body)
            assert b"<img" not in body, path
            assert b"&lt;img src=x onerror=alert(1)&gt;" in body, path
            assert b"{{ 7*7 }}" in body, path
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        assert f"/sample/{name}".encode() in ask(port, "/failures")[1]
        assert b">1 quarantined<" in ask(port, "/")[1]


def test_nothing_else_than_the_run_is_served_and_only_to_this_machine(tmp_path: Path) -> None:
    run = planned(str(tmp_path / "run"), 2)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    name = tiny_sample(0).id
    ways = (
        "/../secret.mp4", "/%2e%2e/secret.mp4", "/static/../server.py", "/static/..%2fserver.py", "/static/server.py",
        "/report/latest/..%2f..%2frun.json", "/report/latest/../../run.json", "/report/latest//etc/passwd", "/run.json",
        f"/generate/{name}/..%2f..%2f..%2fsecret.mp4", "/video/..", f"/video/{'f' * 20}", f"/sample/{'f' * 20}",
        f"/record/{name}/..%2f..%2fplan/{'a' * 24}", f"/record/{name}/generate/{'a' * 24}", "/sample/%00", "/%ff%fe",
    )  # fmt: skip
    with serving(run) as port:
        for way in ways:
            assert ask(port, way)[0].status == 404, way
        for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", ""):
            assert ask(port, "/", Host=host)[0].status == 421, host
        for method in ("POST", "PUT", "DELETE"):
            assert ask(port, "/", method)[0].status == 501, method
        assert ask(port, "/", "HEAD")[1] == b""
        before = sorted(path for path in (tmp_path / "run").rglob("*"))
    assert sorted(path for path in (tmp_path / "run").rglob("*")) == before
    with serving(run) as port, pytest.raises(InputError, match=str(port)):
        serve(run, tmp_path, port)


def test_pages_of_many_samples_are_filtered_sorted_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 450
    run = planned(str(tmp_path / "run"), count)
    index = Index(run, tmp_path)
    index.fill()
    assert index.counts() == {"not generated": count}
    pages, seen = Pages(run, index), list[str]()
    for number in range(count // PAGE):
        rows, total = index.page(Query(page=number))
        assert total == count
        seen += [row["id"] for row in rows]
    assert seen == [tiny_sample(number).id for number in range(count)], "the plan's order, each once"
    seeds = [row["seed"] for row in index.page(Query(sort="seed", down=True, page=1))[0]]
    assert seeds == list(range(count - 1 - PAGE, count - 1 - 2 * PAGE, -1))
    assert index.page(Query(text="onerror"))[1] == count // 3
    assert index.page(Query(text="%"))[1] == 0
    assert index.page(Query(text=tiny_sample(7).id[:12]))[0][0]["seed"] == 7
    assert index.page(Query(kind="'; DROP TABLE samples; --"))[1] == 0
    index.look()
    records_read = list[str]()
    read = run.commits.get

    def noted(stage: str, sample: str, key: str) -> Record | None:
        records_read.append(sample)
        return read(stage, sample, key)

    monkeypatch.setattr(run.commits, "get", noted)
    asked = {"sort": "id; DROP TABLE samples", "page": "-1", "down": "1", "kind": "not generated"}
    pages.samples(asked)
    tracemalloc.start()
    page = pages.samples({"page": "5", "sort": "demo"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(page) < 100_000
    assert peak < 3_000_000, "a page holds its own rows alone"
    assert not records_read, "a page reads no sample's record"
    assert page.count("/sample/") == PAGE


def test_a_sample_that_comes_on_is_read_again(tmp_path: Path) -> None:
    run = planned(str(tmp_path / "run"), 2)
    index = Index(run, tmp_path)
    index.fill()
    sample = Results(run).samples()[0]
    key = generated(run, tmp_path).key
    index.fill()
    assert index.counts() == {"not generated": 1, "not labelled": 1}
    with serving(run) as port:
        assert ask(port, "/")[0].status == 200
        answer, body = ask(port, f"/video/{sample.id}", Range="bytes=1-3")
        assert (answer.status, body) == (206, b"ide")
        assert answer.headers["Content-Range"] == "bytes 1-3/5"
        assert ask(port, f"/video/{sample.id}", Range="bytes=9-")[0].status == 416
        assert ask(port, f"/video/{sample.id}")[1] == b"video"
        record = json.loads(ask(port, f"/record/{sample.id}/generate/{key}")[1])
        assert record["sample"] == sample.id
        (tmp_path / "run" / record["object"]).write_bytes(b"other")
    with serving(run) as port:
        ask(port, "/")
        answer, body = ask(port, f"/video/{sample.id}")
        assert answer.status == 500
        assert b"is damaged" in body


def test_a_run_in_s3_is_shown(s3_environment: S3Server, tmp_path: Path) -> None:
    run = planned(f"s3://{s3_environment.bucket}/view-{tmp_path.name}", 3)
    with serving(run) as port:
        assert b"3 samples" in ask(port, "/")[1]
        assert ask(port, f"/sample/{tiny_sample(0).id}")[0].status == 200
        video = generated(run, tmp_path)
        assert ask(port, f"/video/{video.sample}", Range="bytes=-2")[1] == b"eo"


def test_a_browser_plays_samples_and_reads_the_report_without_an_error(undisturbed: Path, tmp_path: Path) -> None:
    run = open_run(str(undisturbed))
    with serving(run) as port, chromium(tmp_path / "profile") as page:
        base = f"http://127.0.0.1:{port}"
        page.open(base)
        name = page.value("document.querySelector('td a').href.split('/').pop()")
        pages = {
            "overview": "/",
            "sample": f"/sample/{name}",
            "failures": "/failures",
            "report": "/report/latest/index.html",
        }
        for what, path in pages.items():
            for width in (1280, 480):
                page.open(base + path, width)
                assert page.value("document.documentElement.scrollWidth") <= width, (what, width)
                page.picture(tmp_path / f"{what}_{width}.png")
        page.open(base + pages["sample"])
        page.until("document.getElementById('generated').readyState >= 3")
        page.value("document.getElementById('generated').play()")
        page.until("document.getElementById('generated').currentTime > 0.1")
        page.value("document.getElementById('generated').pause()")
        page.until("Number(document.querySelector('.now').getAttribute('x1')) > 0")
        first = page.value("Number(document.getElementById('demo').dataset.first)")
        page.until(f"document.getElementById('demo').currentTime > {first} + 0.05")
        page.value(
            "document.querySelector('.panels svg').dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: 0}))"
        )
        page.until("document.getElementById('generated').currentTime === 0")
        assert page.errors == []
        asked = {url for url in page.requests if not url.startswith(("data:", "about:"))}  # Chromium's own icons
        assert asked
        assert all(url.startswith(base) for url in asked), asked
    assert len(list(tmp_path.glob("*_480.png"))) == 4


def test_a_sample_becomes_a_recording_that_rerun_reads(undisturbed: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="NO RECORDING WAS WRITTEN: rerun-sdk is not installed (extra: rerun)")
    from leicos_jobs.view.recording import record

    run = open_run(str(undisturbed))
    name = Results(run).samples()[0].id
    path = record(run, name[:12], tmp_path / "a.rrd")
    program = shutil.which("rerun", path=str(Path(sys.executable).parent)) or "rerun"
    told = subprocess.run([program, "rrd", "print", str(path)], capture_output=True, text=True, check=True).stdout
    for joint in run.robot.action.names:
        assert f"/action/{joint}/labelled" in told
    for entity in ("/generated", "/its_demo", "/sample"):
        assert re.search(rf"{entity}\b", told), entity
    with pytest.raises(InputError, match="no sample ffff"):
        record(run, "ffffffffffffffffffff", tmp_path / "b.rrd")
