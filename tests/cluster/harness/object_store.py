"""An S3 server (SeaweedFS) with one bucket at an address that pods reach.

It has two identities: for all of the bucket, and for what lies below one prefix of it.
"""

from __future__ import annotations

import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from .parts import weed
from .places import HOST_IP, S3_PORT, WORK
from .processes import start, stop, wait_until

_MASTER, _VOLUME, _FILER = 19333, 18080, 18888
LIMITED = "limited"
_GRPC = 10000  # SeaweedFS listens for its own protocol at each port plus this


@dataclass(frozen=True)
class ObjectStore:
    """Where an S3 bucket is and how to open it."""

    endpoint: str  # a URL
    access_key: str
    secret_key: str
    bucket: str
    limited_access_key: str  # of who may read, write and list below LIMITED, and nothing else
    limited_secret_key: str


def up(bucket: str) -> ObjectStore:
    """Start the server and make the bucket."""
    keys = [secrets.token_hex(length) for length in (8, 16, 8, 16)]
    store = ObjectStore(f"http://{HOST_IP}:{S3_PORT}", keys[0], keys[1], bucket, keys[2], keys[3])
    data = WORK / "s3"
    data.mkdir()
    identities = data / "identities.json"
    everything = _identity("leicos", keys[:2], ["Admin", "Read", "Write", "List", "Tagging"])
    limited = _identity("limited", keys[2:], [f"{action}:{bucket}/{LIMITED}/*" for action in ("Read", "Write", "List")])
    identities.write_text(json.dumps({"identities": [everything, limited]}))
    options = {
        "dir": data,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "master.port": _MASTER,
        "master.volumeSizeLimitMB": 64,  # small and many: with few volumes every PUT fails
        "volume.max": 400,
        "volume.port": _VOLUME,
        "volume.preStopSeconds": 0,
        "filer.port": _FILER,
        "filer.localSocket": data / "filer.sock",
        "s3.config": identities,
        "s3.ip.bind": HOST_IP,
        "s3.port": S3_PORT,
        "s3.port.grpc": S3_PORT + _GRPC,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": data / "s3.sock",
    }
    start("weed", [weed(), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())])
    wait_until("S3 server", lambda: _status(f"{store.endpoint}/healthz") == 200, 60, needs="weed")
    # A bucket is a folder of SeaweedFS's file server, which needs no signature.
    folder = f"http://127.0.0.1:{_FILER}/buckets/{bucket}/"
    wait_until("bucket", lambda: _status(folder, "POST") == 201, 30, needs="weed")
    return store


def down() -> None:
    """Stop the server."""
    stop("weed", patience=2)  # it takes 15 s to say goodbye to itself
    for port in (_MASTER, _VOLUME, _FILER, S3_PORT):
        for socket in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + _GRPC}.sock"):  # no option moves these
            socket.unlink()


def _identity(name: str, keys: list[str], actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": keys[0], "secretKey": keys[1]}], "actions": actions}


def _status(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0
