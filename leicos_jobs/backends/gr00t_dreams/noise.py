"""Start noise of the sampler: a pure function of (seed, window), whatever the batch, worker or retry.

Upstream draws torch.randn without a seed (flow_matching_action_head_idm.py, get_action), so its labels differ from run
to run. Here window t of a video takes block t of a Philox 4x64-10 stream keyed by the video's seed (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", 2011), turned into normals by Box and Muller in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORDS = 4
"""64-bit words that one Philox counter value gives."""


def window_noise(seed: int, first: int, windows: int, size: int) -> NDArray[np.float32]:
    """Standard normals (windows, size) float32 for windows first ... first + windows - 1; size must be even.

    Row k depends on (seed, first + k, size) only.
    """
    blocks = -(-size // WORDS)
    generator = np.random.Philox(key=seed % 2**64)
    generator.advance(first * blocks)
    raw = generator.random_raw(windows * blocks * WORDS).reshape(windows, blocks * WORDS)[:, :size]
    # 53 bits to (0, 1]: the logarithm below must not see 0
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[:, : size // 2]))
    angle = (2.0 * np.pi) * uniform[:, size // 2 :]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
