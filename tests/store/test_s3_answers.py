"""Each row of the table of answers, by a server that gives it; bodies that are cut; what goes wrong on this side."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.s3_imitation import AMAZON, RANGELESS, Dialect, S3Imitation, s3_imitation

from leicos_jobs.core.errors import ExitCode, InputError, LeicosError, RetryError
from leicos_jobs.store import open_object, open_store
from leicos_jobs.store.s3 import S3Store, reading
from leicos_jobs.store.s3.answers import TABLE
from leicos_jobs.store.s3.small import SmallObjects

STATUS = {"NoSuchBucket": 404, "NoSuchUpload": 404, "PermanentRedirect": 301, "NotImplemented": 501, "SlowDown": 503}
ROWS = [(code, row.kind, row.fix) for row in TABLE for code in row.codes if not code.isdigit()]
MISSING = {"NoSuchKey", "NotFound"}
SETTINGS = {
    "AuthorizationHeaderMalformed": "AWS_REGION",
    "PermanentRedirect": "AWS_REGION",
    "SignatureDoesNotMatch": "AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
    "XAmzContentSHA256Mismatch": "AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
    "NotImplemented": "AWS_REQUEST_CHECKSUM_CALCULATION=when_required",
    "Unauthorized": "AWS_ACCESS_KEY_ID",
    "InvalidAccessKeyId": "AWS_ACCESS_KEY_ID",
    "ExpiredToken": "AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "clock",
    "SecondLevelDomainForbidden": "LEICOS_S3_ADDRESSING=virtual",
    "AccessDenied": "Get, Put, Delete and List",
    "NoSuchBucket": "create it",
    "KMS.NotFoundException": "LEICOS_S3_SSE_KMS_KEY_ID",
}
"""What the fix must name."""


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries: what is tested is the last word."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    monkeypatch.setattr(reading, "_PAUSE", 0.0)
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def store_of(server: S3Imitation, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return S3Store("leicos", "runs/x")


def store_by_boto3(server: S3Imitation, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """All objects go the way of large ones."""
    store = store_of(server, monkeypatch)
    store._small = SmallObjects(None, reads=False, writes=False)
    return store


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[S3Imitation, S3Store]]:
    """One server and one store for all rows: a client is slow to make."""
    with s3_imitation(AMAZON) as server, pytest.MonkeyPatch.context() as patch:
        yield server, store_of(server, patch)


@pytest.mark.parametrize(("code", "kind", "fix"), ROWS, ids=[code for code, _, _ in ROWS])
def test_each_answer_has_its_exit_code_and_its_fix(
    code: str,
    kind: type[LeicosError],
    fix: str,
    refusing: tuple[S3Imitation, S3Store],
    tmp_path: Path,
) -> None:
    """Whatever was asked: HEAD has no body, and says the same."""
    status = 404 if code in MISSING else STATUS.get(code, 503 if kind is RetryError else 400)
    server, store = refusing
    server.dialect = Dialect(always=(status, code, "said so"))
    calls = [lambda: store.put("a", b"x"), lambda: list(store.list(""))]
    if code not in MISSING:
        calls += [lambda: store.read("a"), lambda: store.fetch("a", tmp_path), lambda: store.delete("a")]
    if status not in (404, 501):  # HEAD's 404 is a missing object, its 501 has no word
        calls.append(lambda: store.size("a"))
    for call in calls:
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.fix == fix
        assert code in caught.value.message
        assert SETTINGS.get(code, "") in fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [
        (400, ExitCode.INPUT),
        (401, ExitCode.INPUT),
        (403, ExitCode.INPUT),
        (405, ExitCode.INPUT),
        (408, ExitCode.RETRY),
        (429, ExitCode.RETRY),
        (500, ExitCode.RETRY),
        (503, ExitCode.RETRY),
        (507, ExitCode.RETRY),
    ],
)
def test_an_unknown_answer_is_judged_by_its_status(
    status: int, exit_code: ExitCode, refusing: tuple[S3Imitation, S3Store]
) -> None:
    server, store = refusing
    server.dialect = Dialect(always=(status, "Odd", "never heard of"))
    for call in (lambda: store.read("a"), lambda: store.put("a", b""), lambda: store.size("a")):
        with pytest.raises(LeicosError, match=r"Odd|never heard of") as caught:
            call()
        assert caught.value.exit_code == exit_code
        assert caught.value.fix


@pytest.fixture(params=["the connection ends", "the connection is reset"])
def cut(request: pytest.FixtureRequest) -> Iterator[S3Imitation]:
    with s3_imitation(AMAZON) as server:
        server.cuts.reset = request.param.endswith("reset")
        yield server


def test_a_body_that_is_cut_is_read_on(cut: S3Imitation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store, data = store_of(cut, monkeypatch), os.urandom(100_000)
    store.put("a", data)
    for get in (store.read, lambda key: store.fetch(key, tmp_path).read_bytes()):
        cut.seen.clear()
        cut.cuts.after, cut.cuts.left = 30_000, 3
        assert get("a") == data
        assert cut.count("GET") == 4
        ranges = [headers.get("range", "bytes=0-") for _, _, headers in cut.seen]
        assert len({text.split("-")[0] for text in ranges}) > 1 or cut.cuts.reset, "it goes on, it does not begin again"


def test_a_body_that_is_always_cut_may_be_tried_later(cut: S3Imitation, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(cut, monkeypatch)
    store.put("a", bytes(1000))
    cut.cuts.after, cut.cuts.left = 0, 10**6
    with pytest.raises(RetryError, match=r"runs/x/a.*cut"):
        store.read("a")
    assert cut.count("GET") == 1 + reading.TRIES  # obstore once, then boto3


def test_many_parts_are_read_side_by_side_and_read_on(
    cut: S3Imitation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reading, "PART_BYTES", 100_000)
    store, data = store_by_boto3(cut, monkeypatch), os.urandom(1_234_567)
    store.put("a", data)
    cut.cuts.after, cut.cuts.left = 60_000, reading.TRIES - 1
    assert store.fetch("a", tmp_path).read_bytes() == data
    assert cut.cuts.left == 0


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, 200_000])
@pytest.mark.parametrize("dialect", [AMAZON, RANGELESS], ids=["ranges", "no ranges"])
def test_lengths_at_the_edges_of_parts_come_whole(
    size: int, dialect: Dialect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reading, "PART_BYTES", 100_000)
    with s3_imitation(dialect) as server:
        store, data = store_by_boto3(server, monkeypatch), os.urandom(size)
        store.put("a", data)
        server.cuts.after, server.cuts.left = 60_000, 1
        assert store.fetch("a", tmp_path).read_bytes() == data


def test_an_object_that_is_replaced_while_it_is_read_is_never_mixed(
    cut: S3Imitation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first half is the old object's, the second would be the new one's."""
    store = store_by_boto3(cut, monkeypatch)
    old, new = b"o" * 100_000, b"n" * 100_000
    asked, answer = 0, store._client.get_object

    def replace(**arguments: object) -> object:
        nonlocal asked
        asked += 1
        if asked == 2:
            cut.objects["leicos", "runs/x/a"] = new
        return answer(**arguments)

    store._client.get_object = replace
    for get, error in ((store.read, None), (lambda key: store.fetch(key, tmp_path), RetryError)):
        asked, cut.objects["leicos", "runs/x/a"], cut.cuts.after, cut.cuts.left = 0, old, 50_000, 1
        if error is None:
            assert get("a") == new
        else:
            with pytest.raises(error, match="replaced"):
                get("a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "sometimes"),
        ("AWS_RESPONSE_CHECKSUM_VALIDATION", "never"),
        ("LEICOS_S3_ADDRESSING", "both"),
        ("LEICOS_S3_SSE", "rot13"),
        ("AWS_CA_BUNDLE", "/no/such/bundle.pem"),
        ("AWS_PROFILE", "nobody"),
        ("AWS_ENDPOINT_URL_S3", "not a url"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        open_store("s3://leicos/runs/x")
    assert name in caught.value.message or value in caught.value.message
    assert caught.value.fix


def test_a_private_authority_is_trusted_by_the_setting_that_the_error_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    with s3_imitation(AMAZON) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        store_of(server, monkeypatch)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint.replace("http:", "https:"))
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        with pytest.raises(InputError, match="not trusted") as caught:
            S3Store("leicos", "runs/x").put("a", b"x")
        assert "AWS_CA_BUNDLE" in str(caught.value.fix)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        store = S3Store("leicos", "runs/x")
        store.put("a", b"x")
        assert store.read("a") == b"x"


def test_a_kms_key_needs_kms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEICOS_S3_SSE", "AES256")
    monkeypatch.setenv("LEICOS_S3_SSE_KMS_KEY_ID", "some-key")
    with pytest.raises(InputError, match="LEICOS_S3_SSE_KMS_KEY_ID"):
        open_store("s3://leicos/runs/x")


def test_no_credentials_are_an_input_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="no S3 credentials"):
        open_store("s3://leicos/runs/x").read("a")


NAMES = [
    "lift#2",
    "lift?v=2",
    "lift 2",
    "lift+2",
    "lift%202",
    "l\u00fcft",
    "a&b",
    "it's",
    'a"b`c',
    "..x",
    "\u6771\u4eac",
]


@pytest.mark.parametrize("name", NAMES)
def test_everything_after_the_bucket_is_the_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_imitation(AMAZON) as server:
        store_of(server, monkeypatch)
        store = open_store(f"s3://leicos/runs/{name}/")
        store.put("a", b"run")
        source, key = open_object(f"s3://leicos/raw/{name}.hdf5")
        source.put(key, b"source")
        assert set(server.objects) == {("leicos", f"runs/{name}/a"), ("leicos", f"raw/{name}.hdf5")}
        assert store.uri == f"s3://leicos/runs/{name}"
        assert list(store.list("")) == ["a"]


def test_an_object_may_lie_at_the_buckets_root(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_imitation(AMAZON) as server:
        store_of(server, monkeypatch)
        server.objects["leicos", "demo.hdf5"] = b"x"
        store, key = open_object("s3://leicos/demo.hdf5")
        assert (store.read(key), list(store.list(""))) == (b"x", ["demo.hdf5"])


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("s3://leicos", "a bucket and a name"),
        ("s3://leicos/", "a bucket and a name"),
        ("s3:///runs/x", "a bucket and a name"),
        ("s3://k:s@leicos/runs", "cannot be a bucket"),
        ("s3://leicos/runs//x", "empty segment"),
        ("s3://leicos//x", "empty segment"),
        ("s3://leicos/runs/../x", r"segment '\.\.'"),
        ("s3://leicos/./x", r"segment '\.'"),
        ("s3://leicos/runs/x ", "begins or ends with a blank"),
        ("s3://leicos/ x", "begins or ends with a blank"),
        ("s3://leicos/runs\\x", "backslash"),
        ("s3://leicos/runs/x\n", "control character"),
        ("s3://leicos/a\x00b", "control character"),
        ("s3://leicos/a\u2028b", "control character"),
        ("s3://leicos/\ud800", "control character"),
        ("s3://leicos/" + "x" * 1000, "shorter|bytes"),
        ("s3:/leicos/x", "unknown scheme"),
        ("S3://leicos/x", "unknown scheme"),
        ("ftp://x/y", "unknown scheme"),
        ("file://host/x", "unknown scheme"),
        ("/runs/a\x00b", "control character"),
        ("~nobody-here/x", "whole path|home"),
    ],
)
def test_what_cannot_be_a_name_is_refused_by_name(uri: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        open_store(uri)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("uri", "path"), [("file:///runs/x#1", "/runs/x#1"), ("file:/runs/x", "/runs/x"), ("/a?b", "/a?b")]
)
def test_a_local_path_is_taken_whole(uri: str, path: str) -> None:
    assert open_store(uri).uri == path
