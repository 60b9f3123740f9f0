"""A file that only lists others is no video, whatever its name: nothing that it names is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.leisaac import paint

from leicos_jobs.media.encode import write_video
from leicos_jobs.media.errors import VideoError
from leicos_jobs.media.probe import probe

LISTS = {
    "concat": "ffconcat version 1.0\nfile other.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_videos_is_refused(kind: str, tmp_path: Path) -> None:
    write_video(tmp_path / "other.mp4", [paint(0, step) for step in range(4)], 30)
    (tmp_path / "a.mp4").write_text(LISTS[kind])
    with pytest.raises(VideoError, match="is not a video"):
        probe(tmp_path / "a.mp4")
