"""The temporal head: a window of the encoder's estimates to the action of its middle frame.

It learns what one frame cannot show: how far a servo lags behind its target while the joint moves, and how to average
noise away. It is trained on true states plus errors of the kind the encoder makes, taken whole from other windows of
the training set (so they keep their correlation over time and between joints) and enlarged, since the encoder errs
less on frames that it was trained on.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

F32 = NDArray[np.float32]
REACH = 8
"""Frames before and after the middle one that the head sees."""
ENLARGE = 1.5
"""Factor on the encoder's training errors."""
CUT = 0.25
"""Share of training windows that pretend the video begins or ends inside them."""
BATCH = 256
RATE = 2e-3


class Head(nn.Module):
    """(B, 2*REACH+1, 2, joints) estimates -> (B, joints) action, all in normalised units."""

    def __init__(self, joints: int, hidden: int = 160) -> None:
        super().__init__()
        inputs = (2 * REACH + 1) * 2 * joints
        self.direct = nn.Linear(inputs, joints)
        self.body = nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.out = nn.Linear(hidden, joints)
        nn.init.zeros_(self.direct.weight)
        nn.init.zeros_(self.direct.bias)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Middle state + a linear part (the servo's law is nearly linear) + a correction."""
        relative = windows.clone()
        middle = windows[:, REACH : REACH + 1, :1]
        relative[:, :, :1] = windows[:, :, :1] - middle
        relative[:, REACH, 0] = middle[:, 0, 0]
        flat = relative.flatten(1)
        out: Tensor = windows[:, REACH, 0] + self.direct(flat) + self.out(self.body(flat))
        return out


def neighbours(length: int) -> NDArray[np.int64]:
    """Row numbers (length, 2*REACH+1) of each row's window; the first and last rows are repeated beyond the ends."""
    rows: NDArray[np.int64] = np.clip(np.arange(length)[:, None] + np.arange(-REACH, REACH + 1), 0, length - 1)
    return rows


def draw_windows(seed: int, step: int, bounds: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of BATCH training windows, and of as many others whose errors they borrow: (BATCH, 2*REACH+1) each.

    Some windows are cut short on one side as at the beginning or end of a video.
    """
    rng = np.random.default_rng([seed, step, 21])
    offsets = np.arange(-REACH, REACH + 1)
    found = []
    for _ in range(2):
        centre = rng.integers(0, bounds[-1, 1], BATCH)
        episode = np.searchsorted(bounds[:, 1], centre, side="right")
        low, high = bounds[episode, 0], bounds[episode, 1] - 1
        near = rng.integers(0, REACH, BATCH)
        kind = rng.random(BATCH)
        low = np.where(kind < CUT / 2, np.maximum(low, centre - near), low)
        high = np.where(kind > 1 - CUT / 2, np.minimum(high, centre + near), high)
        found.append(np.clip(centre[:, None] + offsets, low[:, None], high[:, None]))
    return found[0], found[1]


def train_head(estimates: F32, states: F32, actions: F32, bounds: NDArray[np.int64], seed: int, steps: int) -> Head:
    """Fit a head. estimates: the encoder's (N, 2, joints) on the training frames; states, actions: (N, joints);
    all in normalised units. Runs on the CPU, from scratch in seconds, so it has no checkpoint."""
    torch.manual_seed(seed)
    head = Head(states.shape[1])
    averaged = [parameter.detach().clone() for parameter in head.parameters()]
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.01)
    true = np.stack([states, actions - states], axis=1)
    errors = ENLARGE * (estimates - true)
    for step in range(steps):
        rows, others = draw_windows(seed, step, bounds)
        windows = torch.from_numpy((true[rows] + errors[others]).astype(np.float32))
        wanted = torch.from_numpy(actions[rows[:, REACH]])
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / steps))
        loss = nn.functional.smooth_l1_loss(head(windows), wanted, beta=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            for kept, parameter in zip(averaged, head.parameters(), strict=True):
                kept.lerp_(parameter, 0.01 if step > steps // 2 else 1.0)
    with torch.no_grad():
        for kept, parameter in zip(averaged, head.parameters(), strict=True):
            parameter.copy_(kept)
    return head.eval()
