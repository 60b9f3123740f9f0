"""A recording is one file: whatever would make HDF5 read another one is refused by name, before it is followed.

External links, external raw storage and virtual datasets may name any file of the machine that converts a recording,
and what they show is not covered by the recording's digest.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from leicos_jobs.core.errors import InputError
from leicos_jobs.core.text import printable

MAX_OBJECTS = 10_000
"""In a demo; LeIsaac writes about 25. Groups that hold themselves twice would otherwise be walked for ever."""

MAX_DEPTH = 12
"""Of groups in a demo, and of soft links that lead to soft links."""


def in_text(name: bytes) -> str:
    """A name in a file, whatever its bytes are."""
    return name.decode("utf-8", "backslashreplace")


def require_own(file: Path, top: h5py.Group, key: bytes, depth: int = MAX_DEPTH) -> None:
    """Refuse an entry of a group, and all below it, if a part of it lies in another file.

    file: what an error names. depth: of groups to look into. Nothing outside the file is opened. Raises InputError;
    what h5py raises over a damaged file; ValueError for more than MAX_OBJECTS objects.
    """
    todo = [(top.id, key, depth)]
    seen: set[int] = set()
    while todo:
        group, name, left = todo.pop()
        _require_own_link(file, group, name, 0)
        try:
            item = h5py.h5o.open(group, name)
        except KeyError:  # a soft link to nothing
            continue
        if isinstance(item, h5py.h5d.DatasetID):
            _require_own_storage(file, item)
        if not isinstance(item, h5py.h5g.GroupID) or not left:
            continue
        if (address := h5py.h5o.get_info(item).addr) not in seen:
            seen.add(address)
            todo += [(item, each, left - 1) for each in item]
        if len(todo) > MAX_OBJECTS:
            raise ValueError(f"more than {MAX_OBJECTS} objects")


def _require_own_link(file: Path, group: h5py.h5g.GroupID, name: bytes, depth: int) -> None:
    info = group.links.get_info(name)
    if info.type == h5py.h5l.TYPE_HARD:
        return
    if info.type == h5py.h5l.TYPE_EXTERNAL:
        other, target = (_shown(part) for part in group.links.get_val(name))
        raise InputError(
            f"{file}: {_place(group, name)} is a link to another file, {other} ({target}){_missing(file, other)}",
            fix="give its parts themselves (several files are one dataset), or h5repack --merge OLD.hdf5 NEW.hdf5",
        )
    if info.type != h5py.h5l.TYPE_SOFT:
        raise InputError(f"{file}: {_place(group, name)} is a link of a kind that HDF5 does not know", fix=_COPY)
    if depth >= MAX_DEPTH:
        raise ValueError(f"{_place(group, name)} leads through too many links")
    _require_own_path(file, group, group.links.get_val(name), depth + 1)


def _require_own_path(file: Path, group: h5py.h5g.GroupID, path: bytes, depth: int) -> None:
    """Walk a soft link's path one name at a time, so that no external link on it is followed."""
    here = h5py.h5g.open(h5py.h5i.get_file_id(group), b"/") if path.startswith(b"/") else group
    for name in path.split(b"/"):
        if name in (b"", b"."):
            continue
        if not isinstance(here, h5py.h5g.GroupID) or not here.links.exists(name):
            return  # leads to nothing
        _require_own_link(file, here, name, depth)
        here = h5py.h5o.open(here, name)


def _require_own_storage(file: Path, item: h5py.h5d.DatasetID) -> None:
    plan = item.get_create_plist()
    place = _shown(h5py.h5i.get_name(item) or b"a dataset")
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        raise InputError(f"{file}: `{place}` is a virtual dataset: its values lie in other files", fix=_COPY)
    if plan.get_external_count():
        other = _shown(plan.get_external(0)[0])
        raise InputError(f"{file}: `{place}` is stored outside the file, in {other}", fix=_COPY)


_COPY = "read its values and write them into a file that holds them itself (h5py: new[name] = old[name][...])"


def _missing(file: Path, other: str) -> str:
    """Whether a part that should lie beside the file is there; nothing is said of other places."""
    plain = Path(other).name == other
    return ", which is not beside it" if plain and not (file.parent / other).exists() else ""


def _place(group: h5py.h5g.GroupID, name: bytes) -> str:
    above = _shown(h5py.h5i.get_name(group) or b"").rstrip("/")
    return f"`{above}/{_shown(name)}`"


def _shown(name: bytes | str) -> str:
    return printable(in_text(name) if isinstance(name, bytes) else name)
