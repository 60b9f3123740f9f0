"""LeIsaac recordings as they really are, and what is said about each demo that cannot be used."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.leisaac import DemoSpec, action, image_numbers, joint, read_code, write_recording

from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import Demo, Recording
from leicos_jobs.formats.leisaac_images import ChangeFinder, block_rows, find_changes, read_blocks
from leicos_jobs.formats.leisaac_problems import Problem
from leicos_jobs.formats.leisaac_timing import TimeBase, Timing, find_timing
from leicos_jobs.formats.sources import control_rate


def problem_of(tmp_path: Path, spec: DemoSpec, cameras: tuple[str, ...] = ("front",)) -> Problem:
    with Recording(write_recording(tmp_path / "a.hdf5", [spec])) as recording:
        problem = recording.demo("demo_0", cameras).problem
    assert problem is not None
    return problem


def timing_of(demo: Demo, base: TimeBase | None = None) -> Timing | Problem:
    return demo.timing("front", base or TimeBase())


def test_natural_and_lexicographic_order(tmp_path: Path) -> None:
    specs = [DemoSpec(rows=12, success=index % 2 == 0) for index in range(12)]
    with Recording(write_recording(tmp_path / "a.hdf5", specs)) as recording:
        assert recording.names == [f"demo_{index}" for index in range(12)]
        assert recording.lexicographic[:4] == ["demo_0", "demo_1", "demo_10", "demo_11"]
        assert [demo.success for demo in recording.demos()] == [index % 2 == 0 for index in range(12)]
        assert recording.demo("demo_3").seed == 7


def test_resumed_numbering_and_strangers(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=12)] * 2, first=97)
    with h5py.File(path, "a") as file:
        file["data"].create_group("mask")
        file["data/demo_x"] = 3
    with Recording(path) as recording:
        assert recording.names == ["demo_97", "demo_98"]
        assert recording.strangers == ["demo_x", "mask"]
        with pytest.raises(InputError, match="has no demo"):
            recording.demo("demo_x")


@pytest.mark.parametrize(
    ("compression", "chunk_rows"), [("lzf", 100), ("gzip", None), (None, 100), (None, None), ("gzip", 7), ("lzf", 1)]
)
def test_every_way_of_storing(tmp_path: Path, compression: str | None, chunk_rows: int | None) -> None:
    spec = DemoSpec(rows=230, compression=compression, chunk_rows=chunk_rows)
    with Recording(write_recording(tmp_path / "a.hdf5", [spec])) as recording:
        demo = recording.demo("demo_0")
        assert demo.problem is None
        wanted = [0, 1, 99, 100, 101, 229]
        shown = [read_code(image) for image in demo.frames("front", wanted)]
        assert shown == [(0, image_numbers(spec)[row]) for row in wanted]
        assert timing_of(demo) == Timing(6, 2, 112)


def test_tables_are_those_of_the_file(tmp_path: Path) -> None:
    with Recording(write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec(rows=30)])) as recording:
        demo = recording.demo("demo_1")
        assert (demo.rows, demo.actions.shape, demo.actions.dtype) == (30, (30, 6), np.float32)
        assert demo.actions[17, 3] == np.float32(action(1, 17, 3))
        assert demo.joint_pos[17, 3] == np.float32(joint(1, 17, 3))
        assert demo.camera_sizes == {"front": (64, 48)}


def test_state_at_a_row_is_what_was_before_its_action(tmp_path: Path) -> None:
    with Recording(write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec()])) as recording:
        demo = recording.demo("demo_1")
        for row in (0, 1, 5, 39):
            state = demo.state_at(row)
            wanted = [joint(1, row, j) for j in range(6)]
            assert state["articulation/robot/joint_position"] == pytest.approx(wanted, abs=1e-6)
            assert state["articulation/robot/joint_position"] == pytest.approx(demo.joint_pos[row].tolist())
            assert state["rigid_object/cube/root_pose"][1] == pytest.approx(0.001 * row)
            assert len(state["rigid_object/cube/root_pose"]) == 7
        for row in (-1, 40):
            with pytest.raises(InputError, match="rows 0 to 39"):
                demo.state_at(row)


def test_interrupted_recording(tmp_path: Path) -> None:
    spec = DemoSpec(rows=40, success=None, cut=1)
    with Recording(write_recording(tmp_path / "a.hdf5", [spec])) as recording:
        demo = recording.demo("demo_0")
        assert (demo.rows, demo.success, demo.marked, demo.problem) == (39, False, False, None)


@pytest.mark.parametrize("width", [8, 9, 11, 12, 7])
def test_other_widths_are_refused_by_name(tmp_path: Path, width: int) -> None:
    problem = problem_of(tmp_path, DemoSpec(width=width))
    names = {8: "keyboard", 9: "lekiwi", 11: "LeKiwi", 12: "so101-biarm", 7: "a so101 has 6"}
    assert problem.kind == "wrong-width"
    assert names[width] in problem.text


def test_structural_problems_have_names(tmp_path: Path) -> None:
    def kind(spec: DemoSpec) -> str:
        return problem_of(tmp_path, spec).kind

    assert kind(DemoSpec(rows=0)) == "zero-length"
    assert kind(DemoSpec(rows=9)) == "too-short"
    assert kind(DemoSpec(cut=2)) == "malformed"
    assert kind(DemoSpec(omit=["actions"])) == "malformed"
    assert kind(DemoSpec(omit=["obs/joint_pos"])) == "malformed"
    assert kind(DemoSpec(omit=["initial_state"])) == "malformed"
    assert kind(DemoSpec(size=(63, 48))) == "image-size"
    missing = problem_of(tmp_path, DemoSpec(cameras=("front", "wrist"), omit=["obs/front"]))
    assert missing.kind == "missing-camera"
    assert "obs/front" in missing.text
    assert "wrist" in missing.text


@pytest.mark.parametrize("table", ["actions", "obs/joint_pos", "states/rigid_object/cube/root_pose"])
def test_not_a_number_is_found_with_its_place(tmp_path: Path, table: str) -> None:
    problem = problem_of(tmp_path, DemoSpec(nan=(table, 13, 5)))
    assert problem.kind == "not-finite"
    assert "row 13" in problem.text
    assert table in problem.text


def test_without_states_only_the_first_row_can_start(tmp_path: Path) -> None:
    with Recording(write_recording(tmp_path / "a.hdf5", [DemoSpec(omit=["states"])])) as recording:
        demo = recording.demo("demo_0")
        assert demo.problem is None
        assert demo.state_at(0)
        with pytest.raises(InputError, match="no `states`"):
            demo.state_at(1)


def test_files_that_are_none(tmp_path: Path) -> None:
    good = write_recording(tmp_path / "good.hdf5", [DemoSpec()])
    (tmp_path / "text.hdf5").write_text("hello" * 100)
    (tmp_path / "empty.hdf5").write_bytes(b"")
    (tmp_path / "cut.hdf5").write_bytes(good.read_bytes()[:-5000])
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["x"] = 1
    for name, said in {
        "none": "no such file",
        "text": "not an HDF5",
        "empty": "not an HDF5",
        "cut": "truncated",
        "other": "no group `data`",
    }.items():
        with pytest.raises(InputError) as caught:
            Recording(tmp_path / f"{name}.hdf5")
        assert said in caught.value.message
        assert f"{name}.hdf5" in caught.value.message
        assert caught.value.fix


def test_a_damaged_chunk_is_the_demos_problem(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(compression="gzip"), DemoSpec()])
    with h5py.File(path) as file:
        place = file["data/demo_0/actions"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[place.byte_offset : place.byte_offset + 30] = bytes(30)
    path.write_bytes(data)
    with Recording(path) as recording:
        problem = recording.demo("demo_0").problem
        assert problem is not None
        assert problem.kind == "unreadable"
        assert recording.demo("demo_1").problem is None


def test_control_rate(tmp_path: Path) -> None:
    specs = [DemoSpec(rows=12)]
    with (
        Recording(write_recording(tmp_path / "a.hdf5", specs)) as silent,
        Recording(write_recording(tmp_path / "b.hdf5", specs, sim=(1 / 120, 2))) as sixty,
        Recording(write_recording(tmp_path / "c.hdf5", specs, sim=(1 / 60, 2))) as thirty,
        Recording(write_recording(tmp_path / "d.hdf5", specs, sim=(0.0, 2))) as absurd,
    ):
        assert (silent.control_hz, sixty.control_hz, thirty.control_hz, absurd.control_hz) == (None, 60.0, 30.0, None)
        assert control_rate([silent, sixty], 60) == 60
        assert control_rate([sixty], 25) == 60
        with pytest.raises(InputError, match="does not say"):
            control_rate([sixty, silent], None)
        with pytest.raises(InputError, match="different"):
            control_rate([sixty, thirty], None)


@pytest.mark.parametrize(
    ("stride", "phase", "first"), [(2, 0, 6), (2, 1, 5), (3, 0, 6), (3, 1, 7), (3, 2, 5), (1, 0, 5)]
)
def test_stride_and_phase_are_found(tmp_path: Path, stride: int, phase: int, first: int) -> None:
    spec = DemoSpec(rows=50, stride=stride, phase=phase)
    with Recording(write_recording(tmp_path / "a.hdf5", [spec])) as recording:
        found = timing_of(recording.demo("demo_0"))
    assert isinstance(found, Timing)
    assert (found.first_row, found.stride) == (first, stride)
    numbers = image_numbers(spec)
    assert all(numbers[row] != numbers[row - 1] for row in found.rows)
    assert 50 - stride <= found.rows[-1] < 50
    assert found.frames == len(found.rows)


def test_timing_choices() -> None:
    twos = list(range(1, 60, 2))
    assert find_timing(twos, 60, TimeBase(stride=4)) == Timing(5, 4, 14)
    assert find_timing(twos, 60, TimeBase(drop_rows=0)) == Timing(1, 2, 30)
    assert find_timing([], 60, TimeBase(row_for_row=True)) == Timing(5, 1, 55)
    assert find_timing(twos, 60, TimeBase(stride=3)) == Problem(
        "irregular", "its image changes every 2 rows, which does not divide the stride 3"
    )
    assert Timing(5, 2, 3).fps(60) == 30


def test_a_scene_at_rest_is_not_irregular() -> None:
    rest = [row for row in range(2, 100, 2) if not 30 <= row <= 55]
    assert find_timing(rest, 100, TimeBase()) == Timing(6, 2, 47)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ([], "static", "0 times"),
        ([8], "static", "1 times"),
        ([*range(2, 40, 2), *range(41, 80, 2)], "irregular", "row 41"),
        ([2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 19, 21], "irregular", "uneven"),
    ],
)
def test_irregular_cameras_are_reported(changes: list[int], kind: str, said: str) -> None:
    found = find_timing(changes, 80, TimeBase())
    assert isinstance(found, Problem)
    assert found.kind == kind
    assert said in found.text


def test_too_few_rows_after_the_dropped_ones() -> None:
    found = find_timing([2, 4, 6], 7, TimeBase())
    assert isinstance(found, Problem)
    assert found.kind == "too-short"


def test_blocks_are_whole_chunks_in_one_buffer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        for rows, wanted in ((100, 100), (7, 98), (150, 150), (None, 100)):
            chunks = (rows, 8, 8, 3) if rows else None
            images = file.create_dataset(f"x{rows}", (230, 8, 8, 3), "u1", chunks=chunks)
            assert block_rows(images) == wanted
        images[:] = np.arange(230, dtype=np.uint8)[:, None, None, None]
        blocks = [
            (start, block[:, 0, 0, 0].tolist(), block.base is not None) for start, block in read_blocks(images, 215)
        ]
    assert [start for start, _, _ in blocks] == [0, 100, 200]
    assert [value for _, values, _ in blocks for value in values] == list(range(215))
    assert all(shared for _, _, shared in blocks)


def test_changes_are_found_across_blocks_and_in_single_pixels(tmp_path: Path) -> None:
    images = np.zeros((20, 5, 7, 3), np.uint8)
    for row, place in ((3, (0, 0, 0)), (10, (4, 6, 2)), (11, (2, 3, 1)), (19, (4, 6, 2))):
        images[row:, place[0], place[1], place[2]] += 1
    finder = ChangeFinder()
    for start in range(0, 20, 10):
        finder.feed(start, images[start : start + 10])
    assert finder.changes == [3, 10, 11, 19]
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        assert find_changes(file.create_dataset("x", data=images), 20) == [3, 10, 11, 19]


def test_frames_outside_the_demo_and_other_cameras(tmp_path: Path) -> None:
    with Recording(write_recording(tmp_path / "a.hdf5", [DemoSpec()])) as recording:
        demo = recording.demo("demo_0")
        with pytest.raises(InputError, match="rows 0 to 39"):
            demo.frames("front", [38, 40])
        with pytest.raises(InputError, match="no camera 'wrist'"):
            demo.frames("wrist", [1])


def test_groups_that_link_to_themselves_end(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        file["data/demo_0/states/loop"] = h5py.SoftLink("/data/demo_0/states")
    with Recording(path) as recording:
        assert recording.demo("demo_0").rows == 40


@pytest.mark.parametrize("mark", ["False", "yes", float("nan"), 2, [True]])
def test_a_success_mark_that_is_no_truth_value_is_never_taken_for_success(tmp_path: Path, mark: object) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=30)])
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["success"] = mark
    with Recording(path) as recording:
        demo = recording.demo("demo_0")
        assert not demo.success
        assert demo.problem is not None
        assert "neither true nor false" in demo.problem.text


def test_a_seed_that_is_none_costs_nothing(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=30)])
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["seed"] = "abc"
    with Recording(path) as recording:
        demo = recording.demo("demo_0")
        assert (demo.problem, demo.success, demo.seed) == (None, True, None)


def test_the_layout_that_too_large_chunks_are_to_be_repacked_to_is_taken(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=30)])
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/front"]
        shape = (30, 720, 1280, 3)
        options = {"dtype": np.uint8, "maxshape": (None, *shape[1:]), "compression": "lzf"}
        file["data/demo_0/obs"].create_dataset("front", shape, chunks=(100, *shape[1:]), **options)
        with Recording(path) as recording:
            problem = recording.demo("demo_0").problem
        assert problem is not None
        found = re.search(r"h5repack -l (\S+):CHUNK=(\d+)x720x1280x3 ", problem.text)
        assert found is not None
        del file[found[1]]
        file.create_dataset(found[1], shape, chunks=(int(found[2]), *shape[1:]), **options)
    with Recording(path) as recording:
        assert recording.demo("demo_0").problem is None


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EACCES, "may not be read"), (errno.EAGAIN, "is being written by another process")]
)
def test_why_a_file_cannot_be_opened_is_told_by_its_errno_not_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    path = write_recording(tmp_path / "stack_blocks_truncated.hdf5", [DemoSpec(rows=30)])

    def refuse(name: Path, _mode: str) -> None:
        raise OSError(number, f"Unable to open file (unable to open file: name = '{name}')")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(InputError, match=said):
        Recording(path)
