"""How far bf16 is from float32, part by part, on a CPU, with a network of a quarter of the width and random weights.

    python benchmarks/idm_h200/precision.py [SEEDS]

Error = norm(out - float32) / norm(float32 - start noise). `autocast` is upstream's order of computation (the tests'
plain copy of it) under bf16 autocast, which is what our bf16 must not be worse than.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "backends")]

import gr00t_small as small  # noqa: E402

from leicos_jobs.backends.gr00t_dreams.checkpoint import read_architecture  # noqa: E402
from leicos_jobs.backends.gr00t_dreams.engine import Engine, Plan  # noqa: E402
from leicos_jobs.backends.gr00t_dreams.ops import Ops  # noqa: E402

SIZES = small.Sizes(vision_width=256, vision_mlp=1024, vision_layers=24, vision_heads=4, width=256, heads=4, mix=4,
                    denoise=8)  # fmt: skip
WINDOWS = 8


class Narrow(Ops):
    """bf16 where the engine takes float32."""

    def linear(self, x, layer):
        out = x.bfloat16() @ layer.weight.bfloat16() + layer.bias.bfloat16()
        return out.to(x.dtype)

    def gelu(self, x, layer):
        return torch.nn.functional.gelu(self.linear(x, layer), approximate="tanh")

    def attend(self, q, k, v, repeats):
        return super().attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), repeats).to(q.dtype)


def errors(seed: int) -> dict[str, float]:
    weights = small.random_weights(SIZES, seed)
    with tempfile.TemporaryDirectory() as name:
        small.write_checkpoint(Path(name) / "c", "small", SIZES, weights, (64, 48))
        sizes = read_architecture(Path(name) / "c", SIZES.vision)
    generator = torch.Generator().manual_seed(seed + 5)
    images = torch.rand(2 * WINDOWS, 3, 256, 256, generator=generator) * 2 - 1
    noise = torch.randn(WINDOWS, 16, 32, generator=generator)
    cut = images.unflatten(3, (16, 16)).unflatten(2, (16, 16))
    patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(2 * WINDOWS, 256, 768)

    def engine(dtype: torch.dtype) -> Engine:
        plan = Plan(dtype, 2 * WINDOWS, WINDOWS)
        return Engine(weights, sizes, slot=31, sequence=112, device=torch.device("cpu"), plan=plan)

    def tokens(made: Engine) -> torch.Tensor:
        return made.run_encode(patches.to(made.plan.dtype)).view(WINDOWS, 32, -1)

    full, half = engine(torch.float32), engine(torch.bfloat16)
    seen = tokens(full), tokens(half)
    exact = full.run_act(seen[0], noise)

    def error(found: torch.Tensor) -> float:
        return 1e3 * float((found - exact).norm() / (exact - noise).norm())

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = small.Plain(weights, SIZES).act(images, noise).float()
    found = {
        "autocast": error(rough),
        "ours": error(half.run_act(seen[1], noise)),
        "ours, encoder alone in bf16": error(full.run_act(seen[1], noise)),
        "ours, sampler alone in bf16": error(half.run_act(seen[0], noise)),
    }
    half.exact = Narrow(torch.float32)
    return found | {"bf16 throughout": error(half.run_act(tokens(half), noise))}


def main() -> None:
    rows = [errors(seed) for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:32} {statistics.mean(values):6.2f}e-3   {[round(value, 2) for value in values]}")


if __name__ == "__main__":
    main()
