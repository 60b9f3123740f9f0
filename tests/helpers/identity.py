"""The whole-system identity test's set-up and its verdict: every row of the dataset against its own sample."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml

PLUGINS = Path(__file__).parents[1] / "plugins"
TASK = "Say who you are."


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """Environment in which leicos finds the identity backends."""
    path = os.pathsep.join([str(PLUGINS), str(PLUGINS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | (extra or {})


@contextmanager
def plugins() -> Iterator[None]:
    """The identity backends in this process."""
    sys.path.insert(0, str(PLUGINS))
    try:
        yield
    finally:
        sys.path.remove(str(PLUGINS))


def leicos(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "leicos_jobs.cli.main", *arguments]


def forking_leicos(*arguments: str) -> list[str]:
    """The same command at a third of the CPU time: see helpers/forking_leicos.py."""
    return [sys.executable, "-m", "helpers.forking_leicos", *arguments]


SIZE = (128, 112)


def write_config(
    folder: Path,
    demos: int = 5,
    samples: int = 200,
    trouble: float = 0.0,
    pause: float = 0.0,
    replay_pause: float = 0.0,
    workers: int = 7,
    worker_seconds: int = 3600,
    trained: bool = False,
) -> Path:
    """A recording of tiny demos, and a configuration for the identity backends. trained: the
    generator is post-trained, for which demos have more than 93 frames."""
    from helpers.leisaac import DemoSpec, write_recording

    specs = [DemoSpec(rows=(200 if trained else 60) + 4 * index, size=SIZE) for index in range(demos)]
    source = write_recording(folder / "demos.hdf5", specs)
    backend = {"backend": "identity", "settings": {"trouble": trouble, "pause": pause}}
    generator = backend | ({"backend": "identity-trained"} if trained else {})
    config = {
        "name": "identity",
        "source": {"files": [str(source)], "task": TASK},
        "plan": {"samples": samples, "workers": workers, "samples_per_worker": 1, "row0": [-1, 16, 22]},
        "generate": generator | {"frames": 7, "width": SIZE[0], "height": SIZE[1]},
        "gate": {"checks": []},
        "idm": {"backend": "identity"},
        "label": {"settings": {"trouble": trouble / 2, "pause": pause}},
        "replay": {"backend": "identity", "samples_per_worker": 80, "settings": {"pause": replay_pause}},
        "cost": {"generate_seconds": 0.05 + pause, "load_seconds": 0},
        "rounds": {"min_success_ratio": 1.0, "quarantine_after": 30, "worker_seconds": worker_seconds},
    }
    path = folder / "identity.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def only_folder(place: Path) -> Path:
    """The one folder that a whole stage has made; a store may have the link `latest` beside it."""
    (folder,) = (path for path in place.iterdir() if path.is_dir() and not path.is_symlink())
    return folder


def rows(root: Path) -> dict[str, object]:
    """The tables of a run's dataset."""
    synthetic = only_folder(root / "synthetic")
    return {path.name: pq.read_table(path).to_pydict() for path in sorted(synthetic.rglob("*.parquet"))}


def check_dataset(root: Path, samples: int) -> None:
    """Assert that `synthetic/` under a run's local root is whole and that every row is its own sample's."""
    sys.path.insert(0, str(PLUGINS))
    import av
    from helpers.leisaac import joint, motor
    from leicos_identity import from_action, read

    synthetic, plan = only_folder(root / "synthetic"), only_folder(root / "plan")
    info = json.loads((synthetic / "meta/info.json").read_text())
    assert info["total_episodes"] == samples
    provenance = [json.loads(line) for line in (synthetic / "meta/leicos/provenance.jsonl").read_text().splitlines()]
    planned = {item["id"]: item for item in map(json.loads, (plan / "samples.jsonl").read_text().splitlines())}
    tasks = [json.loads(line) for line in (synthetic / "meta/episodes.jsonl").read_text().splitlines()]
    assert len(planned) == len({item["sample"] for item in provenance}) == samples
    for index, line in enumerate(provenance):
        sample = planned[line["sample"]]
        assert line["episode_index"] == index
        assert (line["demo"], line["row0"], line["seed"]) == (sample["demo"], sample["row0"], sample["seed"])
        assert tasks[index]["tasks"] == [TASK]
        table = pq.read_table(synthetic / f"data/chunk-000/episode_{index:06d}.parquet")
        actions = np.array(table.column("action").to_pylist(), dtype=np.float32)
        assert [from_action(row) for row in actions] == [(sample["id"], k) for k in range(7)]
        assert table.column("frame_index").to_pylist() == list(range(7))
        number = int(sample["demo"].removeprefix("demo_"))
        start = [motor(joint(number, sample["row0"], j), j) for j in range(6)]
        np.testing.assert_allclose(table.column("observation.state")[0].as_py(), start, atol=1e-3)
        video = synthetic / f"videos/chunk-000/observation.images.front/episode_{index:06d}.mp4"
        with av.open(str(video)) as container:
            shown = [read(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
        assert shown == [(sample["id"], k) for k in range(7)]
        assert line["replay"]["seen"] == sample["id"]
        np.testing.assert_allclose(
            line["replay"]["start"], [joint(number, sample["row0"], j) for j in range(6)], atol=1e-5
        )
