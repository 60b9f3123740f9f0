"""The networks' shapes, and the tiny ones' random weights. Shapes: diffusers 0.42's conversion of upstream's models.

569 tensors and 2,059,174,912 parameters for 2b: what upstream's own network has without its counters
(docs/decisions/cosmos.md 5).
"""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import AutoencoderKLWan, CosmosTransformer3DModel, UniPCMultistepScheduler

_COMMON: dict[str, Any] = {
    "in_channels": 17,  # 16 of the latents, 1 that says which frames are given
    "out_channels": 16,
    "max_size": (128, 240, 240),
    "patch_size": (1, 2, 2),
    "rope_scale": (1.0, 3.0, 3.0),
    "concat_padding_mask": True,
    "extra_pos_embed_type": None,
    "use_crossattn_projection": True,
}
_REAL: dict[str, Any] = _COMMON | {
    "attention_head_dim": 128,
    "mlp_ratio": 4.0,
    "text_embed_dim": 1024,
    "adaln_lora_dim": 256,
    "crossattn_proj_in_channels": 100352,  # 28 layers of 3584 of the text encoder
    "encoder_hidden_states_channels": 1024,
}
DENOISERS: dict[str, dict[str, Any]] = {
    "2b": _REAL | {"num_attention_heads": 16, "num_layers": 28},
    "14b": _REAL | {"num_attention_heads": 40, "num_layers": 36},
    "small": _COMMON
    | {
        "in_channels": 129,  # four pictures of 32 channels each, and the one that says which frames are given
        "out_channels": 128,
        "num_attention_heads": 12,
        "attention_head_dim": 64,
        "num_layers": 12,
        "mlp_ratio": 4.0,
        "text_embed_dim": 64,
        "adaln_lora_dim": 128,
        "crossattn_proj_in_channels": 64,
        "encoder_hidden_states_channels": 64,
    },
    "tiny": _COMMON
    | {
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "num_layers": 2,
        "mlp_ratio": 2.0,
        "text_embed_dim": 32,
        "adaln_lora_dim": 8,
        "crossattn_proj_in_channels": 64,
        "encoder_hidden_states_channels": 32,
    },
}
"""Arguments of CosmosTransformer3DModel by size."""
_TINY_VAE = {"base_dim": 4, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
SEED = 20260101
_TINY_TOKENS = 16


def empty_denoiser(size: str) -> CosmosTransformer3DModel:
    """The network without memory for its weights (device meta)."""
    with torch.device("meta"):
        return CosmosTransformer3DModel(**DENOISERS[size])


def tiny() -> tuple[CosmosTransformer3DModel, AutoencoderKLWan]:
    """Denoiser and VAE of size tiny, with the same random weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return CosmosTransformer3DModel(**DENOISERS["tiny"]), AutoencoderKLWan(**_TINY_VAE)


def small(seed: int) -> CosmosTransformer3DModel:
    """The denoiser of size small before its training: every block begins as the identity, the whole as 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CosmosTransformer3DModel(**DENOISERS["small"])
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.0 if _OPENS.search(name) else 0.02)
    return model


_OPENS = re.compile(r"norm\w+\.linear_2|t_embedder\.linear_2|proj_out")
"""Layers through which a block's work reaches its output."""


def tiny_embedding(text: bytes) -> torch.Tensor:
    """In the place of a text encoder: noise (1, 16, 64) float32 that the digest of the text determines."""
    source = torch.Generator().manual_seed(int.from_bytes(text[:8], "big") >> 1)
    channels = DENOISERS["tiny"]["crossattn_proj_in_channels"]  # small's too
    return torch.randn(1, _TINY_TOKENS, channels, generator=source)


def scheduler() -> UniPCMultistepScheduler:
    """Predict2.5's: UniPC on flow matching with Karras' sigmas."""
    return UniPCMultistepScheduler(
        use_karras_sigmas=True, use_flow_sigmas=True, prediction_type="flow_prediction", sigma_max=200.0, sigma_min=0.01
    )
