"""GR00T-Dreams' inverse dynamics model, computed in another order than upstream computes it, with the same result.

Upstream (flow_matching_action_head_idm.py, get_action, at ec3881d) encodes two frames per window and then, in each of
16 Euler steps, runs the vision-language self-attention, the denoiser and the per-embodiment encoder and decoder. Here
- a frame is encoded once, for the two windows that it belongs to, and the unused pooling head is skipped;
- the self-attention over image tokens and the denoiser's cross-attention keys and values, which no step changes, are
  computed once per window;
- upstream pads the image tokens to 112 with zeros that have no position and are attended to. All pads stay identical
  through every layer, so one pad whose attention logit is raised by the logarithm of their number replaces them;
- what depends on the step alone is a table (`prepare`).
In bf16 the tower and the denoiser work in bf16; the projector, which has no residual stream, and the self-attention
over image tokens, whose errors all 16 steps share, in float32, their products in TF32 on a GPU. They are a fortieth of
the work and make half of the error that bf16 throughout would make (benchmarks/idm_h200/precision.py).
Each of the two halves, `encode` and `act`, is a function of fixed shape, replayed as a CUDA graph on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from leicos_jobs.backends.gr00t_dreams.checkpoint import Architecture
from leicos_jobs.backends.gr00t_dreams.ops import FusedOps, Ops
from leicos_jobs.backends.gr00t_dreams.prepare import Block, Norm, Prepared, prepare


@dataclass(frozen=True)
class Plan:
    """How the engine works; changes speed, and results only by rounding. dtype: of matrices, the working type.
    frames, windows: rows of the two halves' batches. fold_pads: one pad for all, see above. fused: our kernels (CUDA).
    graphs: CUDA graphs."""

    dtype: torch.dtype
    frames: int
    windows: int
    fold_pads: bool = True
    fused: bool = False
    graphs: bool = False


def default_plan(device: torch.device, dtype: torch.dtype) -> Plan:
    """Batches that fill the machine. On a GPU, multiples of its multiprocessors: 128-row tiles of the products then
    come in whole waves (a frame is 256 rows, a window 16)."""
    if device.type != "cuda":
        return Plan(dtype, frames=8, windows=32)
    processors = torch.cuda.get_device_properties(device).multi_processor_count
    return Plan(dtype, frames=processors, windows=4 * processors, fused=True, graphs=True)


class Engine:
    """The network on one device. Static buffers: fill `patches`, call `encode`, read `tokens`; fill `pairs` and
    `noise`, call `act`, read `actions`. Rows beyond those that matter may hold anything finite.

    patches: (frames, patches, 3 * patch^2) in the working type, -1..1, ordered (channel, y, x) within a patch.
    tokens: (frames, tokens, width) float32. pairs: (windows, 2 * tokens, width) float32, first and second frame.
    noise: (windows, horizon, action_dim) float32. actions: likewise, normalised.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        sizes: Architecture,
        *,
        slot: int,
        sequence: int,
        device: torch.device,
        plan: Plan,
    ) -> None:
        """Load the state dict `weights` onto the device. slot: embodiment id; sequence: image tokens with padding."""
        self.sizes = sizes
        self.device = device
        self.plan = plan
        self.pads = sequence - 2 * sizes.tokens
        self.model: Prepared = prepare(weights, sizes, slot, device, plan.dtype)
        self.ops: Ops = FusedOps(plan.dtype) if plan.fused else Ops(plan.dtype)
        wide = torch.float32
        self.exact: Ops = FusedOps(wide, tf32=plan.dtype != wide) if plan.fused else Ops(wide)

        def empty(*shape: int, dtype: torch.dtype = plan.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.patches = empty(plan.frames, sizes.patches, 3 * sizes.patch**2)
        self.tokens = empty(plan.frames, sizes.tokens, sizes.width, dtype=torch.float32)
        self.pairs = empty(plan.windows, 2 * sizes.tokens, sizes.width, dtype=torch.float32)
        self.noise = empty(plan.windows, sizes.horizon, sizes.action_dim, dtype=torch.float32)
        self.actions = torch.zeros_like(self.noise)
        self.encode = self._callable(lambda: self.tokens.copy_(self.run_encode(self.patches)))
        self.act = self._callable(lambda: self.actions.copy_(self.run_act(self.pairs, self.noise)))

    def _callable(self, function: Callable[[], Tensor]) -> Callable[[], None]:
        """The function itself, or a CUDA graph of it."""

        @torch.inference_mode()
        def plain() -> None:
            function()

        if not self.plan.graphs:
            return plain
        stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call, unused-ignore]
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            for _ in range(2):  # kernels compile and libraries choose theirs before the capture
                plain()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), torch.inference_mode():
            function()
        return graph.replay

    @torch.inference_mode()
    def run_encode(self, patches: Tensor) -> Tensor:
        """Frames as patches (n, patches, 3 * patch^2) to tokens (n, tokens, width) float32."""
        ops, exact, model, heads = self.ops, self.exact, self.model, self.sizes.vision_heads
        frames, count = patches.shape[:2]
        norms = [*(block.norm1 for block in model.vision), model.vision_norm]
        residual, x = ops.start(torch.mm(patches.flatten(0, 1), model.patch), model.table, norms[0])
        for block, following in zip(model.vision, norms[1:], strict=True):
            q, k, v = ops.linear(x, block.attend).view(frames, count, 3, heads, -1).unbind(2)
            last = exact if following is model.vision_norm else ops
            x = self._rest(ops, block, residual, ops.attend(q, k, v, 1), following, last)
        x = exact.linear(x, model.project)
        side = int(count**0.5)
        for norm, first, second in model.merges:
            x, side = _merge(x, frames, side), side // 2
            x = exact.linear(functional.gelu(exact.linear(exact.norm(x, norm), first)), second)
        return x.view(frames, side * side, -1)

    @staticmethod
    def _rest(
        ops: Ops, block: Block, residual: Tensor, attended: Tensor, following: Norm, last: Ops | None = None
    ) -> Tensor:
        """A block after its attention; returns the normed input of what follows, in the type of `last`."""
        x = ops.add_norm(residual, ops.linear(attended, block.out), block.norm2)
        x = ops.linear(ops.gelu(x, block.first), block.second)
        return (last or ops).add_norm(residual, x, following)

    @torch.inference_mode()
    def run_act(self, pairs: Tensor, noise: Tensor) -> Tensor:
        """Tokens of the two frames (n, 2 * tokens, width) and start noise (n, horizon, action_dim) float32 to
        normalised actions (n, horizon, action_dim) float32."""
        model, sizes = self.model, self.sizes
        keys = self._context(pairs)
        actions = noise.flatten(0, 1)
        for step in model.steps:
            x = torch.addmm(step.enter_bias, actions.to(self.plan.dtype), model.enter)
            x = torch.mm(functional.silu(x), model.third.weight)
            residual, x = self.ops.start(x, model.third.bias, step.norms[0])
            following = [*step.norms[1:], step.last]
            for index, block in enumerate(model.denoise):
                attended = self._denoise_attend(index, block, x, keys)
                x = self._rest(self.ops, block, residual, attended, following[index])
            x = self.ops.linear(functional.relu(self.ops.linear(x, model.decode[0])), model.decode[1])
            actions = actions + (1.0 / sizes.steps) * x
        return actions.view(noise.shape)

    def _denoise_attend(self, index: int, block: Block, x: Tensor, keys: Tensor) -> Tensor:
        """Even layers attend to the image tokens, odd ones to the actions themselves."""
        heads, horizon = self.sizes.denoise_heads, self.sizes.horizon
        made = self.ops.linear(x, block.attend)
        if index % 2:
            q, k, v = made.view(-1, horizon, 3, heads, self.sizes.width // heads).unbind(2)
            return self.ops.attend(q, k, v, 1)
        k, v = keys[:, :, index], keys[:, :, index + 1]
        return self.ops.attend(made.view(len(keys), horizon, heads, -1), k, v, self._repeats)

    @property
    def _repeats(self) -> int:
        return self.pads if self.plan.fold_pads and self.pads else 1

    def _context(self, pairs: Tensor) -> Tensor:
        """Keys and values of all cross-attentions: (n, tokens, cross layers * 2, heads, size), k and v in turn."""
        ops, model, sizes = self.exact, self.model, self.sizes
        windows, count, width = pairs.shape
        pads = min(self.pads, 1) if self.plan.fold_pads else self.pads
        residual = torch.zeros((windows, count + pads, width), dtype=torch.float32, device=pairs.device)
        residual[:, :count] = pairs + model.views.repeat_interleave(sizes.tokens, dim=0)
        residual = residual.flatten(0, 1)
        norms = [block.norm1 for block in model.mix]
        x = ops.norm(residual, norms[0])
        for index, block in enumerate(model.mix):
            q, k, v = ops.linear(x, block.attend).view(windows, count + pads, 3, sizes.mix_heads, -1).unbind(2)
            # nothing is normed after the last block: its norm goes unused
            following = norms[min(index + 1, len(norms) - 1)]
            x = self._rest(ops, block, residual, ops.attend(q, k, v, self._repeats), following)
        made = ops.linear(residual, model.cross).to(self.plan.dtype)
        return made.view(windows, count + pads, -1, sizes.denoise_heads, width // sizes.denoise_heads)


def _merge(x: Tensor, frames: int, side: int) -> Tensor:
    """Four tokens of a 2x2 square become one of four times the width; blocks are numbered column first, as upstream's
    DownSampleBlock does (multimodal_projector.py). (frames * side^2, c) -> (frames * side^2 / 4, 4c)."""
    squares = x.view(frames, side // 2, 2, side // 2, 2, -1)
    return squares.permute(0, 3, 1, 2, 4, 5).reshape(frames * (side // 2) ** 2, -1)
