"""Recordings that are not to be trusted, or not what they seem: the true cause is named, and nothing else is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.leisaac import DemoSpec, write_recording

from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.core.errors import InputError
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.inspect.defaults import config_for
from leicos_jobs.inspect.facts import RecordingFacts, inspect

SECRET = b"-THE-HOST-SECRET"


def converted(path: Path, camera: str = "front", **options: bool) -> int:
    found = ConvertOptions(SO101, "Lift.", cameras=(camera,), control_hz=60, workers=1, **options)  # type: ignore[arg-type]
    return convert([path], path.with_name("out"), found).episodes


def looked_at(path: Path) -> RecordingFacts:
    found = inspect(path, workers=1)
    assert isinstance(found, RecordingFacts)
    return found


def external_storage(file: h5py.File, other: Path) -> str:
    group = file["data/demo_0/states/rigid_object"].create_group("leak")
    group.create_dataset("root_pose", (40, 7), "f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
    return "/data/demo_0/states/rigid_object/leak/root_pose"


def external_images(file: h5py.File, other: Path) -> str:
    del file["data/demo_0/obs/front"]
    file["data/demo_0/obs"].create_dataset(
        "front", (40, 48, 64, 3), "u1", external=[(str(other), 0, h5py.h5f.UNLIMITED)]
    )
    return "/data/demo_0/obs/front"


def external_link(file: h5py.File, other: Path) -> str:
    file["data/demo_1"] = h5py.ExternalLink(str(other), "/data/demo_0")
    return "/data/demo_1"


def external_link_deep_below(file: h5py.File, other: Path) -> str:
    file["data/demo_0/initial_state/rigid_object/more/x"] = h5py.ExternalLink(str(other), "/data")
    return "/data/demo_0/initial_state/rigid_object/more/x"


def soft_link_through_an_external_one(file: h5py.File, other: Path) -> str:
    file["elsewhere"] = h5py.ExternalLink(str(other), "/")
    file["data/demo_0/states/extra"] = h5py.SoftLink("/elsewhere/data/demo_0/states")
    return "/elsewhere"


def all_of_data_outside(file: h5py.File, other: Path) -> str:
    del file["data"]
    file["data"] = h5py.ExternalLink(str(other), "/data")
    return "/data"


def virtual_dataset(file: h5py.File, other: Path) -> str:
    layout = h5py.VirtualLayout((40, 6), "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", (40, 6))
    del file["data/demo_0/actions"]
    file["data/demo_0"].create_virtual_dataset("actions", layout)
    return "/data/demo_0/actions"


OUTSIDE: tuple[Callable[[h5py.File, Path], str], ...] = (
    external_storage, external_images, external_link, external_link_deep_below, soft_link_through_an_external_one,
    all_of_data_outside, virtual_dataset,
)  # fmt: skip


@pytest.mark.parametrize("make", OUTSIDE, ids=lambda make: make.__name__)
def test_a_recording_whose_values_lie_in_other_files_is_refused_by_name(
    make: Callable[[h5py.File, Path], str], tmp_path: Path
) -> None:
    """The other file is a pipe that nobody writes to: whoever opened it would wait for ever."""
    path, other = write_recording(tmp_path / "a.hdf5", [DemoSpec()]), tmp_path / "other"
    os.mkfifo(other)
    with h5py.File(path, "a") as file:
        place = make(file, other)

    for use in (looked_at, converted, lambda source: config_for([source], "Lift.")):
        with pytest.raises(InputError) as caught:
            use(path)
        assert str(path) in caught.value.message
        assert place in caught.value.message
        assert str(other) in caught.value.message or "virtual" in caught.value.message
        assert caught.value.fix
    assert not (tmp_path / "out").exists()


def test_a_merged_file_without_its_parts_is_told_as_such(tmp_path: Path) -> None:
    """Sessions merged by links, then moved away from them: the demo is not missing, its file is."""
    path = tmp_path / "merged.hdf5"
    with h5py.File(path, "w") as file:
        file["data/demo_0"] = h5py.ExternalLink("session_1.hdf5", "/data/demo_0")
    with pytest.raises(InputError, match=r"another file, session_1\.hdf5 .*not beside it") as caught:
        looked_at(path)
    assert "h5repack" in str(caught.value.fix)


def test_links_inside_a_file_are_followed(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        file.move("data/demo_0", "sessions")
        file["data/demo_0"] = h5py.SoftLink("/sessions")
    assert [demo.kind for demo in looked_at(path).demos] == [None]


def test_groups_that_hold_themselves_many_times_end(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec()])
    with h5py.File(path, "a") as file:
        loop = file.create_group("data/demo_0/states/loop")
        for number in range(20):
            loop[f"again_{number}"] = loop
    assert [demo.kind for demo in looked_at(path).demos] == ["unreadable", None]


def test_a_table_that_would_not_fit_into_memory_is_not_read(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(), DemoSpec()])
    with h5py.File(path, "a") as file:
        states = file["data/demo_0/states"]
        states.create_dataset("bomb", (40, 1 << 28), "f4", chunks=(1, 1 << 28), compression="gzip")
        states = file["data/demo_1/states"]
        states.create_dataset("bomb", (40, 1 << 18), "f8", chunks=(40, 1 << 18), compression="gzip", fillvalue=1.0)
    assert [demo.kind for demo in looked_at(path).demos] == ["malformed", None]


@pytest.mark.parametrize("name", ["demo_" + "9" * 6000, "demo_٣", "demo_\udcff", "demo_-1", "demo_1_x", "de\x1bmo"])
def test_a_name_that_is_no_number_is_a_stranger(name: str, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        file.copy("data/demo_0", file["data"], name.encode("utf-8", "surrogateescape"))
    found = looked_at(path)
    assert [demo.name for demo in found.demos] == ["demo_0"]
    text = found.text() + found.model_dump_json()
    assert "that are not demos are ignored" in text
    assert len(text) < 3000
    assert "\x1b" not in text
    assert converted(path) == 1


def test_a_recording_of_isaac_lab_3_gives_quaternions_as_older_ones_do(tmp_path: Path) -> None:
    """format_version 1 has x, y, z, w; everything downstream takes w, x, y, z."""
    old, new = (write_recording(tmp_path / name, [DemoSpec()]) for name in ("old.hdf5", "new.hdf5"))
    quaternion = np.float32([0.5, 0.1, 0.7, 0.5])
    for path, order in ((old, [0, 1, 2, 3]), (new, [1, 2, 3, 0])):
        with h5py.File(path, "a") as file:

            def turn(name: str, item: object, order: list[int] = order) -> None:
                if isinstance(item, h5py.Dataset) and name.endswith("root_pose"):
                    item[:, 3:] = quaternion[order]

            file["data"].visititems(turn)
    with h5py.File(new, "a") as file:
        file.attrs["format_version"] = 1
    with Recording(old) as before, Recording(new) as after:
        for row in (0, 7):
            wanted = before.demo("demo_0").state_at(row)
            assert after.demo("demo_0").state_at(row) == wanted
            assert wanted["rigid_object/cube/root_pose"][3:] == quaternion.tolist()
    assert converted(new) == 1


@pytest.mark.parametrize("version", [2, -1, 1.5, "1", [1, 1]])
def test_a_format_version_that_is_not_known_is_refused(version: object, tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = version
    with pytest.raises(InputError, match="format_version"):
        converted(path)


def in_other_units(path: Path, table: str, factor: float, demos: int = 1) -> None:
    with h5py.File(path, "a") as file:
        for number in range(demos):
            file[f"data/demo_{number}/{table}"][...] *= factor


@pytest.mark.parametrize("table", ["actions", "obs/joint_pos", "states/articulation/robot/joint_position"])
@pytest.mark.parametrize("factor", [180 / np.pi, 1000.0])
def test_joint_values_that_no_so101_can_have_are_refused(table: str, factor: float, tmp_path: Path) -> None:
    """Degrees, or a servo's counts, where radians belong."""
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=100)])
    in_other_units(path, table, factor)
    with pytest.raises(InputError) as caught:
        converted(path)
    for text in (str(path), "demo_0", table, "runs from", "its range is", "rad"):
        assert text in caught.value.message
    assert "radians" in str(caught.value.fix)
    assert any(table in problem for problem in looked_at(path).problems)


def test_a_leader_arm_may_overshoot_the_limits(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=100)])
    low, high = np.deg2rad([joint.limits for joint in SO101.action.joints]).T
    with h5py.File(path, "a") as file:
        file["data/demo_0/actions"][10:20] = high + np.deg2rad(10)
        file["data/demo_0/actions"][30:40] = low - np.deg2rad(10)
    assert converted(path) == 1


def test_where_most_demos_are_in_another_unit_the_others_are_too(tmp_path: Path) -> None:
    """One demo in degrees hardly moves, so that its numbers could be radians."""
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(rows=100) for _ in range(4)])
    for table in ("actions", "obs/joint_pos"):
        in_other_units(path, table, 180 / np.pi, demos=3)
    assert [demo.kind for demo in looked_at(path).demos] == ["outside-limits"] * 4


IMAGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], tuple[str, ...]]] = {
    "float": (lambda images: images.astype(np.float32) / 255, ("float32", "255", "normalize=False")),
    "rgba": (lambda images: np.concatenate([images, images[..., :1]], axis=3), ("(40, 48, 64, 4)", "[..., :3]")),
    "channel first": (lambda images: images.transpose(0, 3, 1, 2), ("(40, 3, 48, 64)", "transpose(0, 2, 3, 1)")),
    "float, channel first": (
        lambda images: images.transpose(0, 3, 1, 2).astype(np.float64),
        ("float64 (40, 3, 48, 64)", "transpose(0, 2, 3, 1)", "255"),
    ),
    "grey": (lambda images: images[..., 0], ("(40, 48, 64)", "three times")),
    "one channel": (lambda images: images[..., :1], ("(40, 48, 64, 1)", "three times")),
    "int": (lambda images: images.astype(np.int32), ("int32", "uint8")),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_another_kind_are_told_with_how_to_convert_them(name: str, tmp_path: Path) -> None:
    make, said = IMAGES[name]
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        images = file["data/demo_0/obs/front"][...]
        del file["data/demo_0/obs/front"]
        file["data/demo_0/obs/front"] = make(images)
    for use in (converted, lambda source: config_for([source], "Lift.")):
        with pytest.raises(InputError) as caught:
            use(path)
        for text in ("obs/front", "uint8 (rows, height, width, 3)", *said):
            assert text in caught.value.message
        assert "key N" not in str(caught.value.fix)


def test_a_filter_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec()])
    with h5py.File(path, "a") as file:
        del file["data/demo_0/obs/front"]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((20, 48, 64, 3))
        plan.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((40, 48, 64, 3))
        images = h5py.h5d.create(file["data/demo_0/obs"].id, b"front", h5py.h5t.NATIVE_UINT8, space, plan)
        images.write_direct_chunk((0, 0, 0, 0), bytes(20 * 48 * 64 * 3), 0)
    with pytest.raises(InputError, match=r"front.*32999.*hdf5plugin.*h5repack -f GZIP=4"):
        converted(path)


def test_a_file_without_any_success_mark_says_so_and_can_be_taken(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(success=None), DemoSpec(success=None)])
    with pytest.raises(InputError, match="no demo of the file has a success mark") as caught:
        converted(path)
    assert "--accept-unmarked" in str(caught.value.fix)
    assert converted(path, accept_unmarked=True) == 2
    assert config_for([path], "Lift.", accept_unmarked=True).source.accept_unmarked
    with pytest.raises(InputError, match="success mark"):
        config_for([path], "Lift.")


def test_a_demo_marked_as_failed_stays_out_whatever_is_accepted(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(success=None), DemoSpec(success=False), DemoSpec()])
    assert [demo.kind for demo in looked_at(path).demos] == ["interrupted", "failed", None]
    assert converted(path, accept_unmarked=True) == 2


def test_init_takes_any_camera_and_says_which_there_are(tmp_path: Path) -> None:
    specs = [DemoSpec(cameras=("FrontRGB", "wrist"))]
    path = write_recording(tmp_path / "a.hdf5", specs)
    assert config_for([path], "Lift.").source.camera == "FrontRGB", "the first"
    with pytest.raises(InputError, match=r"cameras: FrontRGB 64x48, wrist 64x48") as caught:
        config_for([path], "Lift.", "top")
    assert "--camera" in str(caught.value.fix)
    assert config_for([path], "Lift.", "FrontRGB").source.camera == "FrontRGB"
    assert "cameras: FrontRGB 64x48, wrist 64x48" in looked_at(path).text()
    assert converted(path, "FrontRGB") == 1


def test_init_says_that_two_arms_are_too_wide(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.hdf5", [DemoSpec(width=12)])
    with pytest.raises(InputError, match="actions are 12 wide, a so101 has 6; 12 has so101-biarm"):
        config_for([path], "Lift.")
