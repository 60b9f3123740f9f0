"""Digests and canonical JSON: the identity of samples, records and models rests on these few lines."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

CHUNK = 1 << 20


def canonical_json(value: Any) -> bytes:
    """Serialise so that equal values give equal bytes: sorted keys, no spaces, UTF-8, no NaN.

    Floats that are whole numbers are written as integers, so 21 and 21.0 are one value, as they are in YAML and JSON.
    Raises ValueError for NaN and infinities, TypeError for what JSON cannot say.
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def files_below(folder: Path) -> list[str]:
    """All files of a folder, by their paths in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def sha256_folder(folder: Path) -> str:
    """Hex sha256 of a folder's files and their paths in it."""
    return digest_of({name: sha256_file(folder / name) for name in files_below(folder)})


def digest_of(value: Any, bits: int = 256) -> str:
    """Hex digest of a JSON-able value, cut to `bits`."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[: bits // 4]


SEAL = "description_digest"
"""Key of a description's digest of everything else in it."""


def sealed(description: dict[str, Any]) -> dict[str, Any]:
    """The description with its own digest, for files in which a changed number would give wrong labels and no error."""
    return description | {SEAL: _content(description)}


def is_sealed(description: dict[str, Any]) -> bool:
    """Whether it is as `sealed` gave it."""
    return bool(description.get(SEAL) == _content(description))


def _content(description: dict[str, Any]) -> str:
    return digest_of({key: item for key, item in description.items() if key != SEAL})
