"""What every store must do. Subclass in a test module and provide the fixtures `store` and `raw`.

`raw` reads and writes objects behind the store's back, so that a store's reader and writer cannot agree on a mistake.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from leicos_jobs.core.errors import DefectError
from leicos_jobs.store import KeyMissingError, Store


class Raw(Protocol):
    """Access behind the store's back."""

    def read(self, key: str) -> bytes | None:
        """Bytes of an object, None if there is none."""

    def write(self, key: str, data: bytes) -> None:
        """Put an object there."""


class StoreContract:
    """The contract; each store's test class inherits it."""

    def test_what_is_put_is_there(self, store: Store, raw: Raw) -> None:
        """Put writes whole objects and replaces them."""
        store.put("a/b.json", b"one")
        store.put("a/b.json", b"two")
        assert raw.read("a/b.json") == b"two"
        assert store.read("a/b.json") == b"two"

    def test_read_sees_what_others_wrote(self, store: Store, raw: Raw) -> None:
        """Nothing is cached."""
        raw.write("x/y.bin", b"\x00\xff")
        assert store.read("x/y.bin") == b"\x00\xff"
        assert store.size("x/y.bin") == 2

    def test_missing_objects_are_told_apart_from_errors(self, store: Store, tmp_path: Path) -> None:
        """Read and fetch raise KeyMissingError, size and fingerprint say None, delete says nothing."""
        with pytest.raises(KeyMissingError):
            store.read("no/such.json")
        with pytest.raises(KeyMissingError):
            store.fetch("no/such.json", tmp_path)
        assert store.size("no/such.json") is None
        assert store.fingerprint("no/such.json") is None
        store.delete("no/such.json")

    def test_create_keeps_the_first_and_returns_it(self, store: Store, raw: Raw) -> None:
        """The loser of a race gets the winner's bytes."""
        assert store.create("r/1.json", b"first") == b"first"
        assert store.create("r/1.json", b"second") == b"first"
        assert raw.read("r/1.json") == b"first"

    def test_create_again_with_the_same_bytes_is_success(self, store: Store) -> None:
        """As after a retried PUT whose first answer was lost."""
        assert store.create("r/2.json", b"mine") == b"mine"
        assert store.create("r/2.json", b"mine") == b"mine"

    def test_one_of_many_creates_wins(self, store: Store) -> None:
        """Twelve threads, one winner, all told the same."""
        answers: list[bytes] = []
        barrier = threading.Barrier(12)

        def run(data: bytes) -> None:
            barrier.wait()
            answers.append(store.create("race/x.json", data))

        threads = [threading.Thread(target=run, args=(str(index).encode(),)) for index in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 12
        assert set(answers) == {store.read("race/x.json")}

    def test_upload_and_fetch_carry_bytes(self, store: Store, raw: Raw, tmp_path: Path) -> None:
        """Also several megabytes, and an empty file."""
        for name, data in (("big.bin", bytes(range(256)) * 20_000), ("empty.bin", b"")):
            source = tmp_path / name
            source.write_bytes(data)
            store.upload(f"u/{name}", source)
            assert raw.read(f"u/{name}") == data
            assert store.fetch(f"u/{name}", tmp_path / "scratch").read_bytes() == data
            assert source.exists()

    def test_a_resumable_upload_carries_bytes(self, store: Store, raw: Raw, tmp_path: Path) -> None:
        """Of a file that goes in one piece and of one that goes in several."""
        for name, size in (("small", 1), ("large", 33 << 20)):
            source = tmp_path / name
            source.write_bytes(b"\x00\xff" * (size // 2) + b"end")
            store.upload_resumable(f"ur/{name}", source)
            assert raw.read(f"ur/{name}") == source.read_bytes()
            assert store.fetch(f"ur/{name}", tmp_path / "scratch").read_bytes() == source.read_bytes()

    def test_a_fetched_file_is_released_and_the_object_stays(self, store: Store, raw: Raw, tmp_path: Path) -> None:
        """A copy goes; what lies at the store's own path stays."""
        raw.write("keep/1", b"x")
        path = store.fetch("keep/1", tmp_path)
        own = store.local("keep/1")
        store.release(path)
        assert path.exists() == (path == own)
        assert raw.read("keep/1") == b"x"

    def test_other_names_are_keys_too(self, store: Store, raw: Raw, tmp_path: Path) -> None:
        """Recordings and checkpoints that stood there before leicos came."""
        names = ["my demo#1.hdf5", "50% (a+b)?.hdf5", "\u00fcbung/\u6771.hdf5", ".gitattributes", 'it\'s`"x".bin']
        for name in names:
            raw.write(f"n/{name}", name.encode())
            assert store.read(f"n/{name}") == name.encode()
            assert store.fetch(f"n/{name}", tmp_path).read_bytes() == name.encode()
        assert sorted(store.list("n/")) == sorted(f"n/{name}" for name in names)

    def test_list_gives_keys_with_the_prefix_in_order(self, store: Store) -> None:
        """A prefix is a prefix of text, not of folders."""
        for key in ("l/b/2.json", "l/a/1.json", "l/ab.json", "other/1.json"):
            store.put(key, b"x")
        assert list(store.list("l/")) == ["l/a/1.json", "l/ab.json", "l/b/2.json"]
        assert list(store.list("l/a")) == ["l/a/1.json", "l/ab.json"]
        assert list(store.list("nothing/")) == []

    def test_delete_removes(self, store: Store, raw: Raw) -> None:
        """And only the object named."""
        store.put("d/1", b"x")
        store.put("d/12", b"y")
        store.delete("d/1")
        assert raw.read("d/1") is None
        assert raw.read("d/12") == b"y"

    @pytest.mark.parametrize("key", ["../up", "/abs", "a//b", "a/../b", "a/./b", "", "a/", " a", "a\nb", ".partial/x"])
    def test_keys_cannot_leave_the_root(self, store: Store, key: str) -> None:
        """A malformed key is a defect of the caller, whatever the call."""
        calls: list[Callable[[], object]] = [
            lambda: store.read(key),
            lambda: store.put(key, b""),
            lambda: store.create(key, b""),
            lambda: store.delete(key),
            lambda: store.local(key),
        ]
        for call in calls:
            with pytest.raises(DefectError):
                call()
