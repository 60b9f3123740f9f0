"""Videos as people hand them to `leicos label-videos`: what shows the same gets the same labels, or is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.identity import SIZE, plugins

from leicos_jobs.core.errors import InputError
from leicos_jobs.media.encode import write_video
from leicos_jobs.stages.label_videos import Labelling, label_files

HOW = Labelling("identity", {}, "so101", 0)
SAMPLE = "0123456789abcdef0123"


@pytest.fixture(autouse=True)
def _backends() -> Iterator[None]:
    with plugins():
        yield


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "idm"
    folder.mkdir()
    (folder / "artifact.json").write_text("{}")
    return folder


def video(path: Path, frames: int = 5) -> Path:
    from leicos_identity import paint

    write_video(path, (paint(SAMPLE, number, *SIZE) for number in range(frames)), 30, crf=20)
    return path


def with_sound(source: Path, target: Path) -> Path:
    """The same packets of video, and a silent sound track."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        shown = given.streams.video[0]
        copied, sound = made.add_stream_from_template(shown), made.add_stream("aac", rate=44100)
        for packet in given.demux(shown):
            if packet.dts is not None:
                packet.stream = copied
                made.mux(packet)
        for number in range(8):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate, silence.pts = 44100, number * 1024
            made.mux(sound.encode(silence))
        made.mux(sound.encode())
    return target


def test_a_sound_track_a_name_and_a_suffix_change_no_label(artifact: Path, tmp_path: Path) -> None:
    plain = video(tmp_path / "plain.mp4")
    others = [tmp_path / name for name in ("a. b (2) é.v1.mp4", "UPPER.MP4")]
    for other in others:
        other.write_bytes(plain.read_bytes())
    sound = with_sound(plain, tmp_path / "sound.mp4")
    videos = [plain, sound, *others]
    made = dict(label_files(artifact, videos, tmp_path / "out", HOW))
    assert made == {path.stem: 5 for path in videos}
    tables = [pq.read_table(tmp_path / "out" / f"{name}.parquet").column("action").to_pylist() for name in made]
    assert tables == [tables[0]] * 4


@pytest.mark.parametrize("frames", [0, 1])
def test_a_video_in_which_nothing_can_move_is_refused(frames: int, artifact: Path, tmp_path: Path) -> None:
    path = video(tmp_path / "still.mp4", 1)
    if frames == 0:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"still\.mp4"):
        list(label_files(artifact, [path], tmp_path / "out", HOW))
    assert not list((tmp_path / "out").iterdir())
