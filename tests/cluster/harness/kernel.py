"""Kernel settings that a node changes, put back afterwards: the machine is not ours alone.

The kubelet sets its own idea of overcommit and panic without asking, the CNI bridge
plugin switches forwarding on.
"""

from __future__ import annotations

import json
from pathlib import Path

from .places import WORK

_SETTINGS = (
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_SAVED = WORK / "kernel.json"
_ROOT = Path("/proc/sys")


def remember() -> None:
    """Write down the settings as they are."""
    _SAVED.write_text(json.dumps({name: (_ROOT / name).read_text() for name in _SETTINGS if (_ROOT / name).exists()}))


def put_back() -> None:
    """Restore what has changed since, if anything was written down."""
    if not _SAVED.exists():
        return
    for name, value in json.loads(_SAVED.read_text()).items():
        if (_ROOT / name).read_text() != value:
            (_ROOT / name).write_text(value)
    _SAVED.unlink()
