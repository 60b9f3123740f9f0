"""GR00T-Dreams' IDM on one GPU: upstream as shipped, upstream with its batch defect fixed, and ours, side by side.

    python benchmarks/idm_h200/run.py --checkout CHECKOUT --out DIR [--parts rate,check,pieces,ours,upstream]

Weights are random (time does not depend on them). Needs GR00T-Dreams' packages; `offline.py` makes up for the network.
Prints a table; writes results.json to --out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

import offline  # noqa: E402

PARTS = ("rate", "check", "pieces", "ours", "upstream", "train")


class Bench:
    """Material and results of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.scratch: Path = options.scratch
        self.results: dict[str, Any] = {"parts": options.parts}

    def note(self, name: str, value: Any) -> None:
        """Keep and print a result at once: a run that is cut short still says what it found."""
        self.results[name] = value
        print(f"{time.strftime('%H:%M:%S')} {name}: {json.dumps(value, default=str)}", flush=True)
        (self.options.out / "results.json").write_text(json.dumps(self.results, indent=1, default=str))

    def prepare(self) -> None:
        """Stubs, hub cache, checkpoint, videos."""
        import importlib.util

        begun = time.monotonic()
        offline.stubs(self.scratch / "stubs", peft=importlib.util.find_spec("peft") is None)
        paths = [str(self.scratch / "stubs"), os.environ.get("PYTHONPATH", "")]
        os.environ |= {"PYTHONPATH": os.pathsep.join(paths), "HF_HOME": str(self.scratch / "hf"), "HF_HUB_OFFLINE": "1"}
        helper = subprocess.Popen([sys.executable, str(HERE / "offline.py"), "hub", str(self.scratch / "hf")])
        import material
        import torch

        self.material = material
        count = self.options.videos
        self.videos = material.videos(self.scratch / "videos", count, min(count, 16), os.cpu_count() or 4)
        self.described = material.checkpoint(self.scratch, "cuda")
        if helper.wait() != 0:
            raise SystemExit("the hub cache could not be made")
        self.note("machine", {
            "device": torch.cuda.get_device_name(), "torch": torch.__version__, "cores": os.cpu_count(),
            "prepared_s": round(time.monotonic() - begun, 1), "video_bytes": self.videos[0].stat().st_size,
        })  # fmt: skip

    def rate(self) -> None:
        import pieces

        self.note("bf16_product_tflops", round(pieces.product_rate(), 1))

    def check(self) -> None:
        from leicos_jobs.backends.gr00t_dreams.verify import verify

        report = verify(self.options.checkout, self.described.folder, self.videos[0], windows=96)
        self.note("check", report.to_json())

    def labeller(self, **changes: Any) -> Any:
        import torch

        from leicos_jobs.backends.gr00t_dreams.engine import default_plan
        from leicos_jobs.backends.gr00t_dreams.labeller import Labeller
        from leicos_jobs.backends.gr00t_dreams.settings import LabellerSettings

        plan = replace(default_plan(torch.device("cuda"), torch.bfloat16), **changes)
        return Labeller(LabellerSettings(device="cuda", decoders=self.options.decoders), self.described.folder, plan)

    def pieces(self) -> None:
        """Rates of the engine's two halves and of preprocessing, and the kernels' shares."""
        import pieces
        import torch

        made = self.labeller()
        engine, plan = made.engine, made.plan
        engine.patches.copy_(torch.rand_like(engine.patches) * 2 - 1)
        engine.noise.normal_()
        engine.encode()
        engine.pairs.copy_(torch.randn_like(engine.pairs) * engine.tokens.std())
        planes = torch.randint(0, 256, (plan.frames, 720, 640), dtype=torch.uint8, device="cuda")
        flop = pieces.frame_flop(engine.sizes), pieces.window_flop(engine.sizes, 1)
        times = {
            "pixels": pieces.seconds(lambda: made.preprocess(planes, engine.patches)) / plan.frames,
            "encode": pieces.seconds(engine.encode) / plan.frames,
            "act": pieces.seconds(engine.act) / plan.windows,
        }
        peak = self.results.get("bf16_product_tflops") or pieces.product_rate()
        both = (flop[0] + flop[1]) / (times["encode"] + times["act"]) / 1e12
        self.note("pieces", {
            "batch": [plan.frames, plan.windows], "us": {key: round(1e6 * value, 2) for key, value in times.items()},
            "gflop": [round(one / 1e9, 1) for one in flop],
            "tflops": {
                "encode": round(flop[0] / times["encode"] / 1e12, 1), "act": round(flop[1] / times["act"] / 1e12, 1),
                "both": round(both, 1),
            },
            "share_of_product_rate": round(both / peak, 3),
            "windows_per_s_if_nothing_else": round(1 / sum(times.values())),
            "encode_kernels_ms": pieces.kernel_shares(engine.encode),
            "act_kernels_ms": pieces.kernel_shares(engine.act),
            "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1),
        })  # fmt: skip
        self.note("encode_top", pieces.top_kernels(engine.encode))
        self.note("act_top", pieces.top_kernels(engine.act))

    def variants(self) -> None:
        """Other batch sizes and attention kernels, for tuning."""
        import pieces
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        engine = self.labeller(graphs=False).engine
        engine.plan = replace(engine.plan, graphs=True)
        bf16, found = torch.bfloat16, dict[str, float]()
        inputs = {
            frames: torch.rand(frames, 256, 768, device="cuda").to(bf16) * 2 - 1 for frames in (66, 132, 198, 264)
        }

        def encode(name: str, frames: int) -> None:
            run = engine._callable(lambda: engine.run_encode(inputs[frames]))
            found[f"encode {frames} {name}"] = round(frames / pieces.seconds(run, 9), 1)

        for frames in inputs:
            encode("", frames)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            encode("flash", 132)
        for windows in (264, 528, 1056):
            pairs = torch.randn(windows, 32, 1024, device="cuda")
            noise = torch.randn(windows, 16, 32, device="cuda")
            run = engine._callable(lambda pairs=pairs, noise=noise: engine.run_act(pairs, noise))
            found[f"act {windows}"] = round(windows / pieces.seconds(run, 9), 1)
        self.note("variants", found)

    def ours(self) -> None:
        """H.264 files to labels, everything included but the start of the process; and that labels stay the same."""
        import numpy as np

        from leicos_jobs.backends.requests import LabelRequest

        begun = time.perf_counter()
        made = self.labeller()
        loaded = time.perf_counter() - begun
        requests = [LabelRequest(str(k), path, k) for k, path in enumerate(self.videos)]

        def once(which: list[LabelRequest]) -> tuple[float, dict[str, Any]]:
            begun = time.perf_counter()
            found = {item.sample: item.actions for item in made.process(which, lambda _sample: None)}
            return time.perf_counter() - begun, found

        first, labels = once(requests)
        passes = [once(requests) for _ in range(self.options.repeats)]
        windows = sum(len(rows) for rows in labels.values())
        alone = once(requests[5:6])[1]["5"]
        few = once(requests[:3][::-1])[1]
        spent = statistics.median(item[0] for item in passes)
        self.ours_rate = windows / spent
        self.note("ours", {
            "videos": len(requests), "windows": windows, "windows_per_s": round(self.ours_rate, 1),
            "seconds": [round(item[0], 3) for item in passes], "first_pass_s": round(first, 2),
            "load_s": round(loaded, 1),
            "same_every_pass": all(np.array_equal(item[1][key], labels[key]) for item in passes for key in labels),
            "same_alone": bool(np.array_equal(alone, labels["5"])),
            "same_in_three": all(np.array_equal(few[key], labels[key]) for key in few),
            "largest_difference_alone": float(np.abs(alone - labels["5"]).max()),
        })  # fmt: skip
        made.close()

    def upstream(self) -> None:
        """The dump script with so101.sh's flags; steady state is where the number of calls has settled."""
        import upstream

        for name, fixed, count in (
            ("upstream", False, self.options.upstream_videos),
            ("upstream_fixed", True, min(3, self.options.upstream_videos)),
        ):
            data = self.material.dataset(self.scratch / name, self.videos[:count])
            found = upstream.dump(
                self.options.checkout,
                self.scratch / name / "work",
                self.described.folder,
                data,
                workers=16,
                fixed=fixed,
            )
            steady = found[min(len(found) - 1, 1 if fixed else 4) :]
            spent = statistics.mean(item["seconds"] for item in steady)
            self.note(name, {
                "windows_per_s": round(self.material.FRAMES / spent, 2), "steady_videos": len(steady),
                "seconds": [round(item["seconds"], 2) for item in found], "calls": [item["calls"] for item in found],
                "forward_s": [item["forward"] for item in found],
            })  # fmt: skip

    def train(self) -> None:
        """20 real steps of idm_training.py, killed after the first checkpoint, resumed, then labels of its result."""
        import train

        for name, value in train.run(self.options.checkout, self.scratch / "train", self.material).items():
            self.note(f"train_{name}", value)

    def table(self) -> None:
        """The comparison, if all of it was measured."""
        rates = {
            name: self.results.get(name, {}).get("windows_per_s") for name in ("upstream", "upstream_fixed", "ours")
        }
        print("\nwindows/s  ", rates)
        if all(rates.values()):
            print(f"ours / as shipped {rates['ours'] / rates['upstream']:.1f}, "
                  f"ours / batch fixed {rates['ours'] / rates['upstream_fixed']:.1f}")  # fmt: skip
        pieces = self.results.get("pieces")
        if pieces and rates["ours"]:
            total = 1e6 / rates["ours"]
            print(f"{'part':10} {'us/window':>10} {'share':>7}")
            for name, value in pieces["us"].items():
                print(f"{name:10} {value:10.1f} {value / total:7.1%}")
            rest = total - sum(pieces["us"].values())
            print(f"{'rest':10} {rest:10.1f} {rest / total:7.1%}")
            print(f"encode and act: {pieces['share_of_product_rate']:.1%} of the bf16 product's rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/idm"))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--videos", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--decoders", type=int)
    parser.add_argument("--upstream-videos", type=int, default=7)
    options = parser.parse_args()
    options.checkout = options.checkout.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    options.scratch.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    bench.prepare()
    for part in options.parts.split(","):
        begun = time.monotonic()
        try:
            getattr(bench, part)()
        except Exception as error:  # noqa: BLE001  the other parts are worth having
            import traceback

            traceback.print_exc()
            bench.note(f"{part}_error", repr(error))
        bench.note(f"{part}_s", round(time.monotonic() - begun, 1))
    bench.table()


if __name__ == "__main__":
    main()
