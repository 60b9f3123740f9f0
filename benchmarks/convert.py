"""HDF5 -> LeRobot v2.1 at 640x480: frames per second of leicos, of lerobot's own writers, and of the bare codec.

Everything in one run on one machine: leicos convert row for row with lerobot's own h264 settings and with the default
profile, output verified; the bound given by reading plus encoding alone on all cores; the peers, if the Pythons of
environments with lerobot are given; luma PSNR against the images and bytes per frame, of leicos and of the peers.
Rates count frames written. A busy machine disturbs `seconds`, less so `cpu_ms_per_frame`: both are printed.

Example: PYTHONPATH=. python benchmarks/convert.py --peer ~/lerobot-0.3.3/bin/python --peer ~/lerobot-0.4.4/bin/python
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np

from benchmarks.convert_scene import write_recording
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101
from leicos_jobs.convert.dataset import ConvertOptions, convert
from leicos_jobs.core.cores import available_cores
from leicos_jobs.formats.leisaac_images import keep_large_blocks, read_blocks
from leicos_jobs.formats.leisaac_timing import TimeBase
from leicos_jobs.formats.lerobot_check import check
from leicos_jobs.formats.lerobot_v21 import EncodeSettings
from leicos_jobs.media.encode import Encoder

PEER_MODES = {"0.3.3": ("default",), "0.4.4": ("default", "streaming-h264")}
LEROBOT_H264 = EncodeSettings(crf=30, preset="medium", gop=2)
PROFILES: dict[str, tuple[TimeBase, EncodeSettings]] = {
    "row-for-row, lerobot's h264 settings": (TimeBase(row_for_row=True), LEROBOT_H264),
    "row-for-row, default settings": (TimeBase(row_for_row=True), EncodeSettings()),
    "default profile": (TimeBase(), EncodeSettings()),
}


def cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Run `work`, which returns a number of frames."""
    begun, used = time.perf_counter(), cpu()
    frames = work()
    seconds, used = time.perf_counter() - begun, cpu() - used
    return {
        "frames": frames,
        "seconds": seconds,
        "frames_per_second": frames / seconds,
        "cpu_ms_per_frame": 1000 * used / frames,
    }


def ours(source: Path, out: Path, profile: str) -> dict[str, Any]:
    base, encode = PROFILES[profile]

    def work() -> int:
        options = ConvertOptions(
            embodiment=SO101, task="Lift the red cube up.", control_hz=60, time=base, encode=encode
        )
        return convert([source], out, options).frames

    result: dict[str, Any] = timed(work)
    assert check(out) == [], "the output is not sound"
    video = out / "videos/chunk-000/observation.images.front/episode_000000.mp4"
    size = sum(path.stat().st_size for path in out.rglob("*.mp4"))
    first, step = (5, 1) if base.row_for_row else (6, 2)
    return result | {"bytes_per_frame": size / result["frames"], "psnr_y": luma_psnr(source, video, first, step)}


def read_alone(job: tuple[Path, str]) -> dict[str, float]:
    begun = time.process_time()
    with h5py.File(job[0]) as file:
        images = file[f"data/{job[1]}/obs/front"]
        rows = sum(len(block) for _, block in read_blocks(images, images.shape[0]))
    return {"rows": rows, "cpu": time.process_time() - begun}


def encode_alone(job: tuple[Path, str]) -> dict[str, float]:
    """Encode a demo's rows, from pictures that are ready in memory, with lerobot's h264 settings."""
    with h5py.File(job[0]) as file:
        images = file[f"data/{job[1]}/obs/front"][5:205]
    ready = [av.VideoFrame.from_ndarray(image).reformat(format="yuv420p") for image in images]
    height, width = images.shape[1:3]
    settings = {"crf": LEROBOT_H264.crf, "preset": LEROBOT_H264.preset, "gop": LEROBOT_H264.gop}
    encoder = Encoder(Path(f"/tmp/leicos-bench-{os.getpid()}.mp4"), 60, (width, height), **settings)
    begun, used = time.perf_counter(), time.process_time()
    for frame in ready:
        encoder._encode(frame)
    encoder.close()
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    encoder.path.unlink()
    return {"frames": len(ready), "seconds": seconds, "cpu": used}


def bound(source: Path, demos: int) -> dict[str, float]:
    """Frames per second if reading, then encoding, were all there is, each on all cores."""
    cores = available_cores()
    jobs = [(source, f"demo_{number % demos}") for number in range(2 * cores)]
    with ProcessPoolExecutor(cores, get_context("spawn"), initializer=keep_large_blocks) as pool:
        list(pool.map(read_alone, jobs[:cores]))  # start-up and page cache are not what is measured
        begun = time.perf_counter()
        reads = list(pool.map(read_alone, jobs))
        rows = sum(one["rows"] for one in reads)
        read_seconds = (time.perf_counter() - begun) / rows
        parts = list(pool.map(encode_alone, jobs))
    frames = sum(part["frames"] for part in parts)
    encode_seconds = sum(part["seconds"] for part in parts) / frames / cores
    encode_cpu = sum(part["cpu"] for part in parts) / frames
    return {
        "read_rows_a_second": 1 / read_seconds,
        "encode_frames_per_second": 1 / encode_seconds,
        "cpu_ms_per_frame": 1000 * (sum(one["cpu"] for one in reads) / rows + encode_cpu),
        "frames_per_second": 1 / (read_seconds + encode_seconds),
    }


def luma_psnr(source: Path, video: Path, first: int, step: int, frames: int = 60) -> float:
    """Mean PSNR of the Y plane of the first frames against the images, both as yuv420p."""
    errors = []
    with h5py.File(source) as file, av.open(str(video)) as container:
        images = file["data/demo_0/obs/front"][first : first + frames * step]
        for index, frame in enumerate(container.decode(video=0)):
            if index == frames:
                break
            wanted = av.VideoFrame.from_ndarray(images[index * step]).reformat(format="yuv420p")
            planes = [one.reformat(format="yuv420p").to_ndarray()[: frame.height] for one in (frame, wanted)]
            errors.append(np.mean((planes[0].astype(np.float64) - planes[1]) ** 2))
    return float(np.mean([10 * np.log10(255**2 / error) for error in errors]))


def peer(python: Path, mode: str, source: Path, out: Path, demos: int) -> dict[str, Any]:
    shutil.rmtree(out, ignore_errors=True)
    script = Path(__file__).parent / "convert_peer.py"
    command = [str(python), str(script), str(source), str(out), "--demos", str(demos), "--mode", mode]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"peer": f"{python} {mode}", "failed": done.stderr[-500:]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    result["frames_per_second"] = result["frames"] / result["seconds"]
    result["cpu_ms_per_frame"] = 1000 * result.pop("cpu_seconds") / result["frames"]
    result["psnr_y"] = luma_psnr(source, sorted(out.rglob("*.mp4"))[0], 5, 1)
    shutil.rmtree(out)
    return result


def summary(results: dict[str, Any]) -> dict[str, float]:
    """The ratios of the bars, where what they need was measured; by the clock, and by processor time."""
    own = results["leicos"]["row-for-row, lerobot's h264 settings"]
    ours_rate, ours_cpu = own["frames_per_second"], own["cpu_ms_per_frame"]
    found = {
        "of the bound": ours_rate / results["bound"]["frames_per_second"],
        "of the bound, processor time": results["bound"]["cpu_ms_per_frame"] / ours_cpu,
    }
    for one in results["peers"]:
        if "frames_per_second" in one:
            found[f"times {one['peer']}, row for row"] = ours_rate / one["frames_per_second"]
            found[f"times {one['peer']}, row for row, processor time"] = one["cpu_ms_per_frame"] / ours_cpu
            for name in ("default profile", "row-for-row, default settings"):
                found[f"times {one['peer']}, {name}"] = (
                    results["leicos"][name]["frames_per_second"] / one["frames_per_second"]
                )
            if one["peer"].endswith("0.4.4 default"):
                own = results["leicos"]["row-for-row, default settings"]
                found["dB below AV1"] = one["psnr_y"] - own["psnr_y"]
                found["bytes of AV1"] = own["bytes_per_frame"] / one["bytes_per_frame"]
    return {key: round(value, 3) for key, value in found.items()}


def machine() -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    packages = {name: version(name) for name in ("av", "h5py", "numpy", "pyarrow")}
    load = os.getloadavg()[0]
    return {"cores": available_cores(), "machine": platform.machine(), "load": load, "commit": commit} | packages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=int, default=12, help="demos of 300 rows per texture (250 MB each)")
    parser.add_argument("--peer", type=Path, action="append", default=[], help="Python of a lerobot environment")
    parser.add_argument("--peer-demos", type=int, default=1, help="demos that a peer converts")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/leicos-bench"), help="inputs are kept here")
    parser.add_argument("--texture", choices=("soft", "detail"), action="append", help="default: both")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    scene = hashlib.sha256((Path(__file__).parent / "convert_scene.py").read_bytes()).hexdigest()[:8]
    for texture in arguments.texture or ("soft", "detail"):
        source = arguments.folder / f"{texture}-{arguments.demos}-{scene}.hdf5"
        write_recording(source, texture, arguments.demos, 300)
        out = arguments.folder / "out"
        results: dict[str, Any] = {"texture": texture, "machine": machine(), "leicos": {}, "peers": []}
        results["bound"] = bound(source, arguments.demos)
        for profile in PROFILES:
            results["leicos"][profile] = ours(source, out, profile)
            shutil.rmtree(out)
        for python in arguments.peer:
            asked = [str(python), "-c", "import importlib.metadata as m; print(m.version('lerobot'))"]
            found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
            for mode in PEER_MODES.get(found, ("default",)):
                results["peers"].append(peer(python, mode, source, out, arguments.peer_demos))
        results["ratios"] = summary(results)
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
