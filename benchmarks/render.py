"""Pictures per second of the MuJoCo front camera, one raster thread. Prints one JSON line per size: by the clock, and
by processor time, which other work on the machine disturbs less.

Example: PYTHONPATH=. python benchmarks/render.py
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import closing
from importlib.metadata import version

os.environ.setdefault("LP_NUM_THREADS", "1")

SIZES = ((320, 240), (640, 480))
ROUNDS, FRAMES = 5, 60


def main() -> None:
    from leicos_jobs.backends.mujoco import recorder  # first: it chooses EGL, which mujoco reads when imported
    from leicos_jobs.backends.mujoco.render import Renderer

    for width, height in SIZES:
        done, look = recorder.attempt(recorder.Attempt(seed=0, number=0, failure=None, width=width, height=height))
        with closing(Renderer(width, height)) as renderer:
            renderer.wear(look)
            renderer.draw(done.qpos[0])
            rates, used = [], time.process_time()
            for _ in range(ROUNDS):
                started = time.perf_counter()
                for frame in range(FRAMES):
                    renderer.draw(done.qpos[frame * len(done.qpos) // FRAMES])
                rates.append(FRAMES / (time.perf_counter() - started))
            used = time.process_time() - used
        result = {
            "size": f"{width}x{height}",
            "frames_per_second_median": round(sorted(rates)[ROUNDS // 2], 1),
            "frames_per_second_best": round(max(rates), 1),
            "frames_per_cpu_second": round(ROUNDS * FRAMES / used, 1),
            "gl": os.environ["MUJOCO_GL"],
            "mujoco": version("mujoco"),
            "machine": platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
        }
        print(json.dumps(result))


if __name__ == "__main__":
    main()
