"""Installs torch for CPUs from an index whose wheels are made for GPUs.

PyPI's Linux wheels of torch ask for 4 GB of CUDA libraries and a compiler that a CPU never calls, but the loader wants
to find them. So torch is installed without them, save the small CUDA runtime whose start-up code runs everywhere, and
every library that is then missing is replaced by an empty one that only has its name. The symbols that torch refers
to are defined, as zeros, in one library that all of those need. (They cannot stand in the empty ones: the loader
refuses a symbol without a version in the very library that should give it one.) Without a GPU nothing ever reads them,
and `torch.cuda.is_available()` is False as usual. The GPU code inside torch is overwritten with zeros, which costs
nothing in a compressed layer. With an index of CPU wheels nothing is missing and nothing is done.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

GPU_ONLY = re.compile(r"nvidia-|triton|cuda-|cuda_")
RUNTIME = re.compile(r"cudart|cuda-runtime")
WASTE = ("include", "share", "test")
ROOTS = ("libtorch_python.so", "libtorch_global_deps.so")
"""What `import torch` loads; other libraries of torch are loaded later, if ever, and most of them for GPUs only."""
GPU_CODE = ".nv_fatbin"
STAND_IN = "libleicos_no_cuda.so"
DRIVER = "libcuda.so.1"
"""Never made: a machine with a GPU has it, and where there is none nothing asks for it at start."""
CHECK = """
import torch
weights = torch.nn.Conv2d(3, 8, 3)
weights(torch.randn(1, 3, 16, 16)).mean().backward()
torch.linalg.svd(torch.randn(5, 5))
torch.fft.rfft(torch.randn(16))
print("torch", torch.__version__, "works; GPU:", torch.cuda.is_available())
"""


class Elf:
    """What the dynamic loader reads of a 64-bit library: whom it needs, what it lacks, what it gives."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        offset, size, count = struct.unpack_from("<Q", self.data, 40)[0], *struct.unpack_from("<HH", self.data, 58)
        self.machine: int = struct.unpack_from("<H", self.data, 18)[0]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.data, offset + size * i) for i in range(count)]

    def section(self, name: str) -> tuple[int, int] | None:
        """Offset and size of a section."""
        table: int = struct.unpack_from("<H", self.data, 62)[0]
        found = (section for section in self.sections if self._text(table, section[0]) == name)
        return next(((section[4], section[5]) for section in found), None)

    def needed(self) -> set[str]:
        """Names of the libraries that must be found (DT_NEEDED is tag 1)."""
        return {
            self._text(section[6], value)
            for section in self.sections
            if section[1] == 6  # SHT_DYNAMIC
            for tag, value in struct.iter_unpack("<QQ", self._bytes(section))
            if tag == 1
        }

    def symbols(self) -> tuple[set[str], set[str]]:
        """Symbols that must be found elsewhere (weak ones need not), and those defined here."""
        lacking, given = set(), set()
        for section in self.sections:
            if section[1] != 11:  # SHT_DYNSYM
                continue
            for name, info, _, index, _, _ in struct.iter_unpack("<IBBHQQ", self._bytes(section)):
                if index:
                    given.add(self._text(section[6], name))
                elif info >> 4 == 1:
                    lacking.add(self._text(section[6], name))
        return lacking, given

    def _bytes(self, section: tuple[int, ...]) -> bytes:
        return self.data[section[4] : section[4] + section[5]]

    def _text(self, table: int, offset: int) -> str:
        begin = self.sections[table][4] + offset
        return self.data[begin : self.data.index(b"\0", begin)].decode()


def stand_in_library(name: str, machine: int, symbols: Iterable[str] = (), needs: str | None = None) -> bytes:
    """A shared library that has a name, defines symbols as zeros, needs at most one other, and does nothing."""
    strings, places = b"\0", []
    names = sorted(symbols)
    for text in (name, needs or "", "$ORIGIN", *names):
        places.append(len(strings))
        strings += text.encode() + b"\0"
    count = len(names) + 1
    dynamic_at = 64 + 2 * 56
    hash_at = dynamic_at + 16 * 9
    symbols_at = -(-(hash_at + 4 * (3 + count)) // 8) * 8
    strings_at = symbols_at + 24 * count
    zeros_at = -(-(strings_at + len(strings)) // 64) * 64
    end = zeros_at + 64
    tags = [(14, places[0]), (29, places[2]), (4, hash_at), (5, strings_at)]  # name, run path, hash table, strings
    tags += [(10, len(strings)), (6, symbols_at), (11, 24)]
    tags += [(1, places[1])] if needs else []
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    # One bucket: a chain from the last symbol down to the first.
    hashes = struct.pack(f"<{3 + count}I", 1, count, count - 1, 0, *range(count - 1))
    entries = (struct.pack("<IBBHQQ", place, 0x11, 0, 1, zeros_at, 64) for place in places[3:])
    identity = b"\x7fELF\2\1\1" + bytes(9)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, end, end, 0x10000)
    size = 16 * 9
    program = struct.pack("<IIQQQQQQ", 2, 6, dynamic_at, dynamic_at, dynamic_at, size, size, 8)
    image = bytearray(end)
    parts = ((0, header + load + program), (dynamic_at, dynamic), (hash_at, hashes), (strings_at, strings))
    for at, part in (*parts, (symbols_at, bytes(24) + b"".join(entries))):
        image[at : at + len(part)] = part
    return bytes(image)


def stand_in(site: Path) -> list[str]:
    """Make what torch's libraries lack; returns the names of the libraries."""
    folder = site / "torch" / "lib"
    here = {path.name: path for root in (folder, site / "nvidia") for path in root.rglob("*.so*") if path.is_file()}
    loaded: dict[str, Elf] = {}
    ahead, outside = list(ROOTS), []
    while ahead:
        name = ahead.pop()
        if name in here and name not in loaded:
            loaded[name] = Elf(here[name])
            ahead += loaded[name].needed()
        elif name not in here and name not in outside:
            outside.append(name)
    found = list(loaded.values())
    missing = sorted(name for name in outside if name != DRIVER and not _loads(name))
    if not missing:
        return []
    lacking = set().union(*(elf.symbols()[0] for elf in found)) - set().union(*(elf.symbols()[1] for elf in found))
    system = [ctypes.CDLL(name) for name in outside if name not in missing]
    undefined = [name for name in lacking if not any(hasattr(library, name) for library in system)]
    machine = found[0].machine
    (folder / STAND_IN).write_bytes(stand_in_library(STAND_IN, machine, undefined))
    for name in missing:
        (folder / name).write_bytes(stand_in_library(name, machine, needs=STAND_IN))
    return [f"{STAND_IN} ({len(undefined)} symbols)", *missing]


def empty(site: Path) -> int:
    """Overwrite GPU code by zeros; returns how many bytes. Only a GPU's driver ever reads it."""
    total = 0
    for path in (site / "torch" / "lib").glob("*.so"):
        if place := Elf(path).section(GPU_CODE):
            with path.open("rb+") as stream:
                stream.seek(place[0])
                stream.write(bytes(place[1]))
            total += place[1]
    return total


def forget(site: Path) -> None:
    """Take what was left out from torch's own list of needs, or the next `pip install` brings it after all."""
    (path,) = site.glob("torch-*.dist-info/METADATA")
    head, blank, description = path.read_text().partition("\n\n")
    others = [line for line in head.splitlines() if not line.startswith("Requires-Dist: ") or "extra ==" in line]
    path.write_text("\n".join([*others, *(f"Requires-Dist: {item}" for item in requirements())]) + blank + description)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def requirements() -> list[str]:
    """What torch needs on a CPU, of all that its wheel asks for."""
    wanted = []
    for line in importlib.metadata.requires("torch") or []:
        name, _, marker = line.partition(";")
        if "extra ==" in marker:
            continue
        if name.startswith("cuda-toolkit"):
            wanted.append(re.sub(r"\[.*\]", "[cudart]", line))
        elif not GPU_ONLY.match(name) or RUNTIME.search(name):
            wanted.append(line)
    return wanted


def pip(*arguments: str) -> None:
    """Run pip of this interpreter."""
    subprocess.run((sys.executable, "-m", "pip", "install", "--no-cache-dir", *arguments), check=True)


def main() -> None:
    """Install torch (as named, with a version if one is wanted), then see that it works."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("torch", help="requirement, for example torch==2.15.0")
    parser.add_argument("--index", default="", help="index to take torch from, instead of pip's own")
    options = parser.parse_args()
    pip("--no-deps", *(["--index-url", options.index] if options.index else []), options.torch)
    pip(*requirements())
    site = Path(sysconfig.get_paths()["purelib"])
    for name in WASTE:
        shutil.rmtree(site / "torch" / name, ignore_errors=True)
    for path in (site / "nvidia").rglob("*.a"):
        path.unlink()
    made = stand_in(site)
    emptied = empty(site) if made else 0
    if made:
        forget(site)
    print(f"stand-ins: {', '.join(made) or 'none'}; {emptied >> 20} MiB of GPU code emptied", flush=True)
    subprocess.run((sys.executable, "-c", CHECK), check=True)


if __name__ == "__main__":
    main()
