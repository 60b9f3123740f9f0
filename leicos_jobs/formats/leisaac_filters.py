"""Compression that HDF5 needs a plugin for, named before a read fails with words about folders of plugins."""

from __future__ import annotations

import importlib
from contextlib import suppress

import h5py

_NAMES = {
    4: "szip",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}
"""Identifiers that the HDF Group registered (https://github.com/HDFGroup/hdf5_plugins, RegisteredFilterPlugins)."""


def missing_filter(dataset: h5py.Dataset) -> str | None:
    """What to do about the first filter of a dataset that is not there; continues "`obs/front` ...". None if all are.

    The package hdf5plugin brings the usual ones; where it is installed it is taken.
    """
    plan = dataset.id.get_create_plist()
    for place in range(plan.get_nfilters()):
        number = int(plan.get_filter(place)[0])
        if h5py.h5z.filter_avail(number):
            continue
        with suppress(ImportError):
            importlib.import_module("hdf5plugin")  # registers its filters
        if not h5py.h5z.filter_avail(number):
            named = f"{_NAMES[number]} (HDF5 filter {number})" if number in _NAMES else f"HDF5 filter {number}"
            return (
                f"is compressed with {named}, which this machine's HDF5 lacks; install it (pip install hdf5plugin),"
                " or repack the file where it is there (h5repack -f GZIP=4 OLD.hdf5 NEW.hdf5)"
            )
    return None
