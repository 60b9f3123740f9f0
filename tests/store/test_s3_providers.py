"""Servers that answer as providers do (imitations), and a second real one, against the shipped contract."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.s3 import KEY, SECRET, RawS3, S3Server
from helpers.s3_imitation import (
    AMAZON,
    CEPH_OLD,
    GCS,
    OBS,
    OSS,
    R2,
    R2_OLD,
    RANGELESS,
    Dialect,
    S3Imitation,
    s3_imitation,
)

from leicos_jobs.core.errors import InputError
from leicos_jobs.store.s3 import S3Store
from leicos_jobs.testing.store_contract import StoreContract

DIALECTS = {
    "amazon": AMAZON,
    "gcs": GCS,
    "r2": R2,
    "oss": OSS,
    "obs": OBS,
    "ceph-old": CEPH_OLD,
    "rangeless": RANGELESS,
}


class Objects:
    """What the imitation holds, behind the store's back."""

    def __init__(self, server: S3Imitation) -> None:
        self.server = server

    def read(self, key: str) -> bytes | None:
        return self.server.objects.get(("leicos", f"runs/x/{key}"))

    def write(self, key: str, data: bytes) -> None:
        self.server.objects["leicos", f"runs/x/{key}"] = data


@pytest.fixture(params=list(DIALECTS))
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Imitation]:
    with s3_imitation(DIALECTS[request.param]) as server:
        use(server, monkeypatch)
        yield server


def use(server: S3Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


class TestProviders(StoreContract):
    """With nothing set but endpoint, keys and region."""

    @pytest.fixture
    def store(self, server: S3Imitation) -> S3Store:
        return S3Store("leicos", "runs/x")

    @pytest.fixture
    def raw(self, server: S3Imitation) -> Objects:
        return Objects(server)

    test_a_resumable_upload_carries_bytes = None  # type: ignore[assignment]  # of parts: on the real servers

    def test_one_of_many_creates_wins(self, store: S3Store, server: S3Imitation) -> None:
        """Where the server has conditions."""
        if server.dialect.conditions != "enforced":
            pytest.skip("without conditions several may believe that they won")
        super().test_one_of_many_creates_wins(store)

    def test_the_server_is_asked_for_conditions_until_it_is_known_to_have_none(
        self, store: S3Store, server: S3Imitation
    ) -> None:
        for number in range(5):
            assert store.create(f"c/{number}", b"mine") == b"mine"
        conditional = [headers for method, _, headers in server.seen if method == "PUT" and "if-none-match" in headers]
        enforced = server.dialect.conditions == "enforced"
        assert len(conditional) == (6 if enforced else 2), "without conditions: once by each client, or written twice"

    def test_a_first_create_never_replaces_what_stands(self, store: S3Store, server: S3Imitation) -> None:
        """run.json of another configuration, on a server that takes If-None-Match and ignores it."""
        server.objects["leicos", "runs/x/run.json"] = b"theirs"
        assert store.create("run.json", b"mine") == b"theirs"
        assert server.objects["leicos", "runs/x/run.json"] == b"theirs"


def test_what_goes_well_is_one_request_by_the_small_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A commit is two: the bytes, and the record that makes them count."""
    with s3_imitation(AMAZON) as server:
        use(server, monkeypatch)
        store, source = S3Store("leicos", "runs/x"), tmp_path / "video.mp4"
        source.write_bytes(b"bytes")
        store.create("first", b"whether the server has conditions")
        server.seen.clear()
        store.upload("video", source)
        assert store.create("record", b"record") == b"record"
        assert store.read("record") == b"record"
        assert store.fetch("video", tmp_path).read_bytes() == b"bytes"
        assert [(method, key) for method, key, _ in server.seen] == [
            ("PUT", "runs/x/video"),
            ("PUT", "runs/x/record"),
            ("GET", "runs/x/record"),
            ("GET", "runs/x/video"),
        ]
        assert all("object_store" in headers["user-agent"] for _, _, headers in server.seen)


@pytest.mark.parametrize(
    ("setting", "value", "writer", "reader"),
    [
        ("LEICOS_S3_SSE", "AES256", "Boto3", "object_store"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported", "Boto3", "object_store"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported", "object_store", "Boto3"),
    ],
)
def test_what_the_small_client_would_do_in_another_way_is_left_to_boto3(
    setting: str, value: str, writer: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    with s3_imitation(AMAZON) as server:
        use(server, monkeypatch)
        store = S3Store("leicos", "runs/x")
        store.put("a", b"x")
        assert store.read("a") == b"x"
        agents = [headers["user-agent"] for _, _, headers in server.seen]
        assert [writer in agents[0], reader in agents[1]] == [True, True], agents


@pytest.fixture(scope="module")
def versity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    binary = shutil.which("versitygw", path=os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / "go/bin"))))
    if binary is None:
        pytest.skip("NO SECOND S3 SERVER WAS TESTED: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("versity")
    command = [binary, "--access", KEY, "--secret", SECRET, "--port", f"127.0.0.1:{port}", "posix", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = S3Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        server.client().create_bucket(Bucket=server.bucket)
        yield server
    finally:
        process.kill()
        process.wait(30)


class TestVersity(StoreContract):
    """Versity's S3 gateway over a folder: another real server."""

    @pytest.fixture
    def prefix(self) -> str:
        return f"test/{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def store(self, versity: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
        for name, value in versity.environment().items():
            monkeypatch.setenv(name, value)
        return S3Store(versity.bucket, prefix)

    @pytest.fixture
    def raw(self, versity: S3Server, prefix: str) -> RawS3:
        return RawS3(versity, prefix)


@pytest.mark.parametrize("dialect", [GCS, R2, R2_OLD, OBS], ids=["gcs", "r2", "r2-old", "obs"])
def test_refused_checksums_name_the_setting(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_imitation(dialect) as server:
        use(server, monkeypatch)
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
        store = S3Store("leicos", "runs/x")
        for write in (store.put, store.create):
            with pytest.raises(InputError, match="AWS_REQUEST_CHECKSUM_CALCULATION=when_required"):
                write("a", b"x")


def test_path_style_on_a_server_that_refuses_it_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_imitation(OSS) as server:
        use(server, monkeypatch)
        monkeypatch.setenv("LEICOS_S3_ADDRESSING", "path")
        with pytest.raises(InputError, match="LEICOS_S3_ADDRESSING=virtual"):
            S3Store("leicos", "runs/x").put("a", b"x")


def test_encryption_is_said_at_each_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with s3_imitation(AMAZON) as server:
        use(server, monkeypatch)
        monkeypatch.setenv("LEICOS_S3_SSE_KMS_KEY_ID", "arn:aws:kms:eu-central-1:1:key/2")
        store = S3Store("leicos", "runs/x")
        (tmp_path / "file").write_bytes(b"x")
        store.put("put", b"x")
        store.create("create", b"x")
        store.upload("upload", tmp_path / "file")
        puts = {key: headers for method, key, headers in server.seen if method == "PUT"}
    assert set(puts) == {"runs/x/put", "runs/x/create", "runs/x/upload"}
    for headers in puts.values():
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
        assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "arn:aws:kms:eu-central-1:1:key/2"
