"""Does the gate refuse defects and pass the rest, on rendered, reconstructed and learned videos alike?

    python -m leicos_jobs.cli.main record /tmp/gate/source.hdf5 --episodes 85 --seed 0
    python -m leicos_jobs.cli.main record /tmp/gate/judged.hdf5 --episodes 40 --seed 2
    PYTHONPATH=tests python benchmarks/gate.py --source /tmp/gate/source.hdf5 --judged /tmp/gate/judged.hdf5 \
        --learned ../shared/cases/learned

The limits come from the source's videos. Every video of the other recording that is a success is judged as it is
(rendered), after an autoencoder of the source's frames, and shrunk and enlarged; then again with each defect planted
(tests/helpers/defects.py). --learned: a folder with videos.jsonl, video_N.mp4 and clip_N.mp4. All videos are encoded as
generators do. A hit is a defect that is refused for one of its own reasons; refused for any reason counts apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from helpers.defects import CLIP, DEFECTS, Autoencoder, shrunk_and_enlarged
from numpy.typing import NDArray

from leicos_jobs.backends.mujoco.robot import ROBOT
from leicos_jobs.formats.leisaac_hdf5 import Recording
from leicos_jobs.judge.gate_limits import gathered, judge, limits
from leicos_jobs.judge.gate_scores import measure
from leicos_jobs.media.decode import read_all
from leicos_jobs.media.encode import write_video
from leicos_jobs.run.config_gate import GateConfig
from leicos_jobs.stages.gate import SOURCE_VIDEOS

U8 = NDArray[np.uint8]
FPS, STRIDE, FIRST_ROW, FRAMES = 30.0, 2, 6, 160


def videos(path: Path, count: int) -> Iterator[U8]:
    """The first FRAMES frames of a recording's demos, at the dataset's rate."""
    with Recording(path, ROBOT) as recording:
        for demo in islice((demo for demo in recording.demos() if demo.success), count):
            rows = range(FIRST_ROW, len(demo.actions), STRIDE)[:FRAMES]
            yield np.stack(list(demo.frames("front", rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--judged", type=Path, required=True)
    parser.add_argument("--learned", type=Path)
    parser.add_argument("--videos", type=int, default=24, help="that are judged")
    options = parser.parse_args()
    config = GateConfig()
    real = list(videos(options.source, SOURCE_VIDEOS))
    allowed = limits(gathered([measure(video, video[:CLIP], FPS) for video in real]), config)
    scratch = Path(tempfile.mkdtemp(prefix="leicos-gate-"))

    def reasons(video: U8) -> set[str]:
        write_video(scratch / "video.mp4", list(video), FPS)
        return set(judge(measure(read_all(scratch / "video.mp4"), video[:CLIP], FPS), allowed, config.checks).reasons)

    judged = list(videos(options.judged, options.videos))
    autoencoder = Autoencoder(real[:3])
    kinds = {
        "rendered": judged,
        "autoencoder": [autoencoder(video) for video in judged],
        "shrunk and enlarged": [shrunk_and_enlarged(video) for video in judged],
    }
    if options.learned:
        lines = [json.loads(line) for line in (options.learned / "videos.jsonl").read_text().splitlines()]
        kinds = {"learned": [read_all(options.learned / line["video"]) for line in lines]} | kinds
        for line, video in zip(lines, kinds["learned"], strict=True):
            clip = read_all(options.learned / line["clip"])
            verdict = judge(measure(video, clip, FPS), allowed, config.checks)
            named = f"{line['video']} {line['kind']}, {line['start']}"
            print(f"{named}: {', '.join(verdict.reasons) or 'passed'}  {verdict.scores}", flush=True)
    print("| kind | videos | refused as they are | " + " | ".join(DEFECTS) + " | all defects |", flush=True)
    for kind, items in kinds.items():
        clean = [reasons(video) for video in items]
        cells, hits, total = [], 0, 0
        # a video that is refused as it is says nothing about a defect planted into it
        usable = [(number, video) for number, video in enumerate(items) if not clean[number]]
        for index, (plant, wanted) in enumerate(DEFECTS.values()):
            found = [reasons(plant(video, np.random.default_rng([number, index]))) for number, video in usable]
            named = sum(bool(wanted & item) for item in found)
            cells.append(
                f"{named}/{len(found)}" + (f" ({sum(map(bool, found))})" if sum(map(bool, found)) > named else "")
            )
            hits, total = hits + named, total + len(found)
        refused = [sorted(item) for item in clean if item]
        print(
            f"| {kind} | {len(items)} | {len(refused)} {refused or ''} | {' | '.join(cells)} | {hits / total:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
