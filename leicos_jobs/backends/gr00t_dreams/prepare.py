"""Upstream's weights rearranged for the engine: transposed, packed, folded, and the denoising steps' constants.

Everything here is algebra on constants, done once in double precision and rounded once to the working type:
- q, k and v of a self-attention are one matrix; the cross-attentions' k and v of all layers are one matrix;
- the action encoder's W1 and the action half of W2 have nothing between them, likewise proj_out_2 and the decoder's
  first layer: each pair is one matrix;
- the time embedding is a constant of the step, so AdaLN's scale and shift, the encoder's time half and the output
  norm's scale and shift are tables of 16 rows.

Names are those of upstream's state dict (gr00t/model/action_head/flow_matching_action_head_idm.py and
cross_attention_dit.py at ec3881d, whose TimestepEncoder is diffusers' Timesteps and TimestepEmbedding).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from leicos_jobs.backends.gr00t_dreams.checkpoint import Architecture
from leicos_jobs.core.errors import InputError

TIME_CHANNELS = 256


@dataclass(frozen=True)
class Linear:
    """y = x @ weight + bias: weight (inputs, outputs) in the working type, row-major as stored upstream (transposed
    view); bias (outputs,)."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class Norm:
    """Layer norm, then * weight + bias: (width,) float32 each."""

    weight: Tensor
    bias: Tensor
    eps: float


@dataclass(frozen=True)
class Block:
    """A transformer block. attend: q, k, v packed, or q alone where k and v come from elsewhere."""

    norm1: Norm
    attend: Linear
    out: Linear
    norm2: Norm
    first: Linear
    second: Linear


@dataclass(frozen=True)
class Step:
    """Constants of one denoising step: enter's bias, AdaLN of every layer, the norm before the decoder."""

    enter_bias: Tensor
    norms: tuple[Norm, ...]
    last: Norm


@dataclass(frozen=True)
class Prepared:
    """The whole network. table: (patches, vision_width) float32, position embedding and patch bias. merges: the
    projector's two halves. views: (2, width) float32. enter, third, decode: action encoder and decoder around the
    denoiser. project, merges, mix and cross are float32, whatever the working type."""

    patch: Tensor
    table: Tensor
    vision: tuple[Block, ...]
    vision_norm: Norm
    project: Linear
    merges: tuple[tuple[Norm, Linear, Linear], tuple[Norm, Linear, Linear]]
    views: Tensor
    mix: tuple[Block, ...]
    cross: Linear
    denoise: tuple[Block, ...]
    steps: tuple[Step, ...]
    enter: Tensor
    third: Linear
    decode: tuple[Linear, Linear]


class _Source:
    """Weights by name, in double precision; says which one is missing."""

    def __init__(self, weights: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
        self.weights = weights
        self.device = device
        self.dtype = dtype

    def __call__(self, name: str) -> Tensor:
        if name not in self.weights:
            raise InputError(f"the checkpoint has no weight {name!r}", fix="name a checkpoint of IDM training")
        return self.weights[name].to(self.device, torch.float64)

    def linear(self, *names: str) -> Linear:
        """Linear layers side by side (outputs concatenated)."""
        weights, biases = ([self(f"{name}.{part}") for name in names] for part in ("weight", "bias"))
        return self.made(torch.cat(weights).T, torch.cat(biases))

    def made(self, weight: Tensor, bias: Tensor) -> Linear:
        """From double precision; stored as (outputs, inputs) so that both operands of a product are read along k."""
        return Linear(weight.T.contiguous().to(self.dtype).T, bias.to(self.dtype))

    def norm(self, name: str, eps: float) -> Norm:
        return Norm(self(f"{name}.weight").float(), self(f"{name}.bias").float(), eps)


def prepare(
    weights: Mapping[str, Tensor], sizes: Architecture, slot: int, device: torch.device, dtype: torch.dtype
) -> Prepared:
    """Rearrange upstream's state dict. slot: embodiment id. dtype: of matrices; norms and tables stay float32."""
    source, exact = _Source(weights, device, dtype), _Source(weights, device, torch.float32)
    head, tower = "action_head.", "action_head.siglip_model.vision_model."
    patch = source(f"{tower}embeddings.patch_embedding.weight").flatten(1)
    table = source(f"{tower}embeddings.position_embedding.weight") + source(f"{tower}embeddings.patch_embedding.bias")
    cross = [f"{head}model.transformer_blocks.{i}.attn1" for i in range(0, sizes.denoise_layers, 2)]
    encoder = {name: _slot(source, f"{head}action_encoder.{name}", slot) for name in ("W1", "W2", "W3")}
    decoder = {name: _slot(source, f"{head}action_decoder.{name}", slot) for name in ("layer1", "layer2")}
    out_weight, out_bias = source(f"{head}model.proj_out_2.weight").T, source(f"{head}model.proj_out_2.bias")
    positions = source(f"{head}position_embedding.weight")[: sizes.horizon]
    third_weight, third_bias = encoder["W3"]
    return Prepared(
        patch=patch.to(dtype).T,
        table=table.float(),
        vision=tuple(_vision_block(source, f"{tower}encoder.layers.{i}.", sizes) for i in range(sizes.vision_layers)),
        vision_norm=source.norm(f"{tower}post_layernorm", sizes.vision_eps),
        project=exact.linear(f"{head}vision_projector"),
        merges=(_merge(exact, f"{head}mm_projector.layers.", 1), _merge(exact, f"{head}mm_projector.layers.", 6)),
        views=source(f"{head}view_embedding.weight")[:2].float(),
        mix=tuple(
            _block(exact, f"{head}vl_self_attention_model.transformer_blocks.{i}.", own=True, affine=True)
            for i in range(sizes.mix_layers)
        ),
        cross=exact.linear(*[f"{name}.to_{part}" for name in cross for part in ("k", "v")]),
        denoise=tuple(
            _block(source, f"{head}model.transformer_blocks.{i}.", own=i % 2 == 1, affine=False)
            for i in range(sizes.denoise_layers)
        ),
        steps=_steps(source, f"{head}model.", sizes, encoder["W1"], encoder["W2"]),
        enter=(encoder["W1"][0] @ encoder["W2"][0][: sizes.width]).T.contiguous().to(dtype).T,
        third=Linear(third_weight.T.contiguous().to(dtype).T, (third_bias + positions).float()),
        decode=(
            source.made(out_weight @ decoder["layer1"][0], out_bias @ decoder["layer1"][0] + decoder["layer1"][1]),
            source.made(*decoder["layer2"]),
        ),
    )


def _slot(source: _Source, name: str, slot: int) -> tuple[Tensor, Tensor]:
    weight, bias = source.weights.get(f"{name}.W"), source.weights.get(f"{name}.b")
    if weight is None or bias is None or slot >= len(weight):
        raise InputError(f"the checkpoint has no weights {name!r} for embodiment {slot}")
    return weight[slot].to(source.device, torch.float64), bias[slot].to(source.device, torch.float64)


def _vision_block(source: _Source, name: str, sizes: Architecture) -> Block:
    return Block(
        norm1=source.norm(f"{name}layer_norm1", sizes.vision_eps),
        attend=source.linear(*[f"{name}self_attn.{part}_proj" for part in "qkv"]),
        out=source.linear(f"{name}self_attn.out_proj"),
        norm2=source.norm(f"{name}layer_norm2", sizes.vision_eps),
        first=source.linear(f"{name}mlp.fc1"),
        second=source.linear(f"{name}mlp.fc2"),
    )


def _block(source: _Source, name: str, *, own: bool, affine: bool) -> Block:
    """A block of upstream's BasicTransformerBlock. own: k and v come from the block's own input. affine: its norms
    have weights; without, norm1 is AdaLN (see Step) and norm2 is bare."""
    parts = "qkv" if own else "q"
    width = source.weights[f"{name}attn1.to_q.weight"].shape[0]
    plain = Norm(torch.ones(width, device=source.device), torch.zeros(width, device=source.device), 1e-5)
    return Block(
        norm1=source.norm(f"{name}norm1", 1e-5) if affine else plain,
        attend=source.linear(*[f"{name}attn1.to_{part}" for part in parts]),
        out=source.linear(f"{name}attn1.to_out.0"),
        norm2=source.norm(f"{name}norm3", 1e-5) if affine else plain,
        first=source.linear(f"{name}ff.net.0.proj"),
        second=source.linear(f"{name}ff.net.2"),
    )


def _merge(source: _Source, name: str, first: int) -> tuple[Norm, Linear, Linear]:
    """Norm, linear, (GELU,) linear after a 2x2 merge; `first` is the norm's place in upstream's Sequential."""
    return (
        source.norm(f"{name}{first}", 1e-5),
        source.linear(f"{name}{first + 1}"),
        source.linear(f"{name}{first + 3}"),
    )


def step_times(sizes: Architecture) -> list[int]:
    """Bucket of each Euler step: int(i / steps * buckets), as upstream rounds it."""
    return [int(i / float(sizes.steps) * sizes.buckets) for i in range(sizes.steps)]


def _steps(
    source: _Source, name: str, sizes: Architecture, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]
) -> tuple[Step, ...]:
    times = torch.tensor(step_times(sizes), dtype=torch.float32, device=source.device)
    embedded = _time_embedding(source, f"{name}timestep_encoder.timestep_embedder.", times)
    gated = torch.nn.functional.silu(embedded)
    ones = torch.ones(1, dtype=torch.float64, device=source.device)

    def rows(layer: str) -> tuple[Tensor, Tensor]:
        both = gated @ source(f"{layer}.weight").T + source(f"{layer}.bias")
        one, other = both.chunk(2, dim=1)
        return one, other

    # AdaLN gives (scale, shift), the output norm (shift, scale): upstream's order
    layers = [rows(f"{name}transformer_blocks.{i}.norm1.linear") for i in range(sizes.denoise_layers)]
    shift, scale = rows(f"{name}proj_out_1")
    waves = _tau(times, sizes.width).double()
    enter = first[1] @ second[0][: sizes.width] + waves @ second[0][sizes.width :] + second[1]
    return tuple(
        Step(
            enter_bias=enter[i].to(source.dtype),
            norms=tuple(Norm((ones + a[i]).float(), b[i].float(), 1e-5) for a, b in layers),
            last=Norm((ones + scale[i]).float(), shift[i].float(), 1e-6),
        )
        for i in range(sizes.steps)
    )


def _time_embedding(source: _Source, name: str, times: Tensor) -> Tensor:
    """diffusers' Timesteps (cosines first, rates 10000^(-k/127)) and TimestepEmbedding, float64 (steps, width)."""
    half = TIME_CHANNELS // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=times.device) / (half - 1))
    angles = times[:, None] * rates[None]
    waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1).double()
    hidden = waves @ source(f"{name}linear_1.weight").T + source(f"{name}linear_1.bias")
    return torch.nn.functional.silu(hidden) @ source(f"{name}linear_2.weight").T + source(f"{name}linear_2.bias")


def _tau(times: Tensor, width: int) -> Tensor:
    """The action encoder's own time code: sines first, frequencies 10000^(-k/half), (steps, width) float32."""
    half = width // 2
    rates = torch.exp(-torch.arange(half, dtype=torch.float32, device=times.device) * (math.log(10000.0) / half))
    angles = times[:, None] * rates[None]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)
