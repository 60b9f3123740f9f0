"""AdamW for weights that are kept in bfloat16 alone.

A step changes a weight by about the learning rate, which is less than half the distance of two numbers in bfloat16:
rounded to the nearest, nothing would ever change. Here each number is rounded up or down by chance, so that its mean is
right (stochastic rounding; Zamirai et al., Revisiting BFloat16 Training, 2020). The update follows Loshchilov and
Hutter, Decoupled Weight Decay Regularization, 2019, in float32, piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

PIECE = 1 << 24
"""Numbers that are computed in float32 at a time."""
EPSILON = 1e-8
_LOW_BITS = (1 << 16) - 1


def rounded(values: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    """float32 to bfloat16: to one of the two neighbours, the nearer the likelier."""
    chance = torch.randint(0, _LOW_BITS + 1, values.shape, dtype=torch.int32, device=values.device, generator=source)
    bits = (values.view(torch.int32) + chance) & ~_LOW_BITS
    return bits.view(torch.float32).to(torch.bfloat16)


class RoundedAdamW(torch.optim.Optimizer):
    """Weights and both moments in bfloat16: with the gradients 8 bytes per weight. draws: the randomness of a step, by
    its number counted from 0."""

    def __init__(
        self,
        parts: Iterable[torch.nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        draws: Callable[[int], torch.Generator],
    ) -> None:
        super().__init__(parts, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "done": 0})
        self._draws = draws
        for group in self.param_groups:
            for part in group["params"]:
                self.state[part] = {name: torch.zeros_like(part) for name in ("mean", "square")}

    @torch.no_grad()
    def step(self, _closure: Any = None) -> None:  # type: ignore[override]
        """One update with the gradients that are there."""
        for group in self.param_groups:
            source = self._draws(group["done"])
            group["done"] += 1
            for part in group["params"]:
                if part.grad is None:
                    continue
                flat = [tensor.view(-1) for tensor in (part, part.grad, *self.state[part].values())]
                for first in range(0, part.numel(), PIECE):
                    weight, gradient, mean, square = (tensor[first : first + PIECE] for tensor in flat)
                    _update(weight, gradient, mean, square, group, source)


def _update(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    mean: torch.Tensor,
    square: torch.Tensor,
    group: dict[str, Any],
    source: torch.Generator,
) -> None:
    (first, second), done, rate = group["betas"], group["done"], group["lr"]
    slope = gradient.float()
    new_mean = mean.float().lerp_(slope, 1 - first)
    new_square = square.float().mul_(second).addcmul_(slope, slope, value=1 - second)
    scale = (new_square / (1 - second**done)).sqrt_().add_(EPSILON)
    new_weight = weight.float().mul_(1 - rate * group["weight_decay"])
    new_weight.addcdiv_(new_mean, scale, value=-rate / (1 - first**done))
    for kept, value in ((weight, new_weight), (mean, new_mean), (square, new_square)):
        kept.copy_(rounded(value, source))
