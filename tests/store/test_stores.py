"""Both stores against the shipped contract, and what only one of them can get wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.flaky_proxy import FlakyProxy, flaky_proxy
from helpers.s3 import RawS3, S3Server

from leicos_jobs.core import signals
from leicos_jobs.core.errors import InputError, RetryError
from leicos_jobs.store import open_store
from leicos_jobs.store.folder import FolderStore
from leicos_jobs.store.s3 import S3Store
from leicos_jobs.testing.store_contract import StoreContract


class RawFolder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes | None:
        path = self.root / key
        return path.read_bytes() if path.is_file() else None

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


class TestFolder(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "root")

    @pytest.fixture
    def raw(self, tmp_path: Path) -> RawFolder:
        return RawFolder(tmp_path / "root")

    def test_partials_of_a_killed_writer_are_no_objects(self, store: FolderStore) -> None:
        store.put("a/1", b"x")
        (store.root / ".partial" / "left-behind").write_bytes(b"half")
        assert list(store.list("")) == ["a/1"]

    def test_an_unwritable_root_is_an_input_error(self, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        with pytest.raises(InputError, match="folder"):
            FolderStore(blocked / "run").put("a", b"x")

    def test_what_cannot_be_removed_is_an_input_error(self) -> None:
        """/proc refuses it to everybody, as a read-only root does."""
        store = FolderStore(Path("/proc/self"))
        with pytest.raises(InputError, match=r"cannot write .*/status") as caught:
            store.delete("status")
        assert caught.value.fix
        store.delete("no-such-file")
        store.delete("status/below-a-file")

    def test_a_full_disk_says_so_and_may_be_retried(self, tmp_path: Path) -> None:
        """With a file size limit the write fails half-way, as on a full disk; no object appears."""
        code = (
            "import resource, signal, sys; from pathlib import Path; from leicos_jobs.store.folder import FolderStore\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            f"FolderStore(Path({str(tmp_path / 'r')!r})).put('a/big', b'x' * 100000)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "RetryError" in done.stderr
        assert list(FolderStore(tmp_path / "r").list("")) == []


class TestS3(StoreContract):
    @pytest.fixture
    def prefix(self) -> str:
        return f"test/{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def store(self, s3_environment: S3Server, prefix: str) -> S3Store:
        return S3Store(s3_environment.bucket, prefix)

    @pytest.fixture
    def raw(self, s3_environment: S3Server, prefix: str) -> RawS3:
        return RawS3(s3_environment, prefix)

    def test_a_missing_bucket_is_named(self, s3_environment: S3Server) -> None:
        with pytest.raises(InputError, match="no-such-bucket"):
            open_store("s3://no-such-bucket/run").put("a", b"x")

    def test_wrong_credentials_are_an_input_error(
        self, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(InputError, match=r"credentials|denied"):
            open_store(f"s3://{s3_environment.bucket}/run").read("a")

    def test_a_retried_put_that_had_succeeded_is_success(self, store: S3Store) -> None:
        """The answer of the first PUT is lost, the retry meets 412: the bytes are our own."""
        original = store._client.put_object
        calls = []

        def lossy(**arguments: object) -> object:
            calls.append(1)
            if len(calls) == 1:
                original(**arguments)
            return original(**arguments)

        store._client.put_object = lossy
        assert store.create("lost/1", b"mine") == b"mine"

    def test_an_unreachable_server_may_be_retried(self, monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> None:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(RetryError):
            open_store("s3://b/run").size("a")


@pytest.fixture(scope="module")
def proxy(s3: S3Server) -> Iterator[FlakyProxy]:
    with flaky_proxy(s3.endpoint, every=3) as proxy:
        yield proxy


class TestS3ThatFails(StoreContract):
    """Every third request is answered 500, every second of those after it was carried out."""

    @pytest.fixture
    def prefix(self) -> str:
        return f"test/{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def store(
        self, proxy: FlakyProxy, s3_environment: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
    ) -> S3Store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        return S3Store(s3_environment.bucket, prefix)

    @pytest.fixture
    def raw(self, s3_environment: S3Server, prefix: str) -> RawS3:
        return RawS3(s3_environment, prefix)

    def test_each_create_keeps_its_own_bytes_whatever_request_fails(
        self, store: S3Store, raw: RawS3, proxy: FlakyProxy
    ) -> None:
        """A lost answer makes the client try again, and meet 412: its own object."""
        before = Counter(proxy.seen)
        for number in range(12):
            data = f"bytes of {number}".encode()
            assert store.create(f"own/{number}", data) == data
            assert raw.read(f"own/{number}") == data
        assert all((proxy.seen - before)["PUT", fate] for fate in ("passed", "lost", "refused")), proxy.seen

    def test_a_file_of_several_parts_arrives_whatever_request_fails(
        self, store: S3Store, raw: RawS3, proxy: FlakyProxy, tmp_path: Path
    ) -> None:
        """A retried start leaves an upload that nobody completes; a retried completion finds none."""
        source = tmp_path / "big.bin"
        source.write_bytes(os.urandom(1 << 20) * 33)
        for number in range(4):
            store.upload(f"big/{number}", source)
            assert raw.read(f"big/{number}") == source.read_bytes()
        assert store.fetch("big/0", tmp_path / "scratch").read_bytes() == source.read_bytes()
        assert proxy.seen["POST", "lost"]
        assert proxy.seen["POST", "refused"]


@pytest.mark.parametrize("uri", ["s3://bucket", "ftp://x/y"])
def test_a_wrong_uri_is_refused(uri: str) -> None:
    with pytest.raises(InputError):
        open_store(uri)


def test_a_folder_store_needs_no_boto3(tmp_path: Path) -> None:
    code = f"import sys; from leicos_jobs.store import open_store; open_store({str(tmp_path)!r}).put('a', b'x'); "
    code += "assert 'boto3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_a_notice_to_stop_ends_a_download(
    s3_environment: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"s3://{s3_environment.bucket}/{uuid.uuid4().hex}")
    store.put("checkpoint", bytes(8 << 20))
    assert store.fetch("checkpoint", tmp_path).stat().st_size == 8 << 20
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr(signals, "_stop", stop)
    with pytest.raises(RetryError, match="stopped by a signal"):
        store.fetch("checkpoint", tmp_path)
    store.put("small", b"what is in hand may still be committed")
