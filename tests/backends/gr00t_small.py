"""A GR00T-Dreams checkpoint of a few hundred thousand random weights, and the network written down plainly.

`Plain` follows the order of upstream's get_action step by step and window by window: 112 tokens, everything computed
anew in each step. It is the test's yardstick for the engine, and shares no code with it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from leicos_jobs.backends.gr00t_dreams import configs
from leicos_jobs.backends.gr00t_dreams.artifact import Description, publish
from leicos_jobs.backends.mujoco.robot import ROBOT as SO101

TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
        "vocab_size": 8, "max_position_embeddings": 4}  # fmt: skip
SEQUENCE, TOKENS, HORIZON, DIM, STEPS, SLOTS = 112, 16, 16, 32, 16, 32


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network: the vision tower's, and the rest's."""

    vision_width: int
    vision_mlp: int
    vision_layers: int
    vision_heads: int
    width: int
    heads: int
    mix: int
    denoise: int

    @property
    def vision(self) -> dict[str, Any]:
        """The tower's configuration as Hugging Face has it."""
        return {"hidden_size": self.vision_width, "intermediate_size": self.vision_mlp, "image_size": 256,
                "num_hidden_layers": self.vision_layers, "num_attention_heads": self.vision_heads, "patch_size": 16,
                "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}  # fmt: skip


SMALL = Sizes(vision_width=32, vision_mlp=64, vision_layers=2, vision_heads=2, width=32, heads=2, mix=2, denoise=4)
TWELVE = replace(SMALL, vision_layers=12)
"""Upstream freezes layer 11 of the tower by name, so it needs twelve."""
FULL = Sizes(vision_width=1024, vision_mlp=4096, vision_layers=24, vision_heads=16, width=1024, heads=16, mix=4,
             denoise=8)  # fmt: skip
STATS_LOW = [-80.0, -95.0, -60.0, 5.0, -40.0, 0.0]
STATS_HIGH = [85.0, 70.0, 99.0, 90.0, 41.0, 100.0]


def config(tower: str, sizes: Sizes) -> dict[str, Any]:
    """config.json as upstream's save_pretrained writes it."""
    heads = {"num_attention_heads": sizes.heads, "attention_head_dim": sizes.width // sizes.heads, "dropout": 0.2,
             "final_dropout": True, "positional_embeddings": None}  # fmt: skip
    model, head = "gr00t.model.action_head.", "flow_matching_action_head_idm.FlowMatchingActionHeadIDM"
    inner = {
        "_target_": f"{model}{head}Config", "_recursive_": False, "add_pos_embed": True, "add_view_embed": True,
        "hidden_size": sizes.width, "siglip_hidden_size": sizes.vision_width, "max_num_views": 6, "action_dim": DIM,
        "action_horizon": HORIZON, "num_inference_timesteps": STEPS, "num_timestep_buckets": 1000,
        "mm_vision_select_layer": -2,
        "noise_beta_alpha": 1.5, "noise_beta_beta": 1.0, "noise_s": 0.999, "model_dtype": "float32",
        "siglip_model_cfg": {"_target_": f"{model}siglip.SiglipModel.from_pretrained", "_convert_": "object",
                             "pretrained_model_name_or_path": tower},
        "vl_self_attention_cfg": {"_target_": f"{model}cross_attention_dit.SelfAttentionTransformer",
                                  "num_layers": sizes.mix, **heads},
        "diffusion_model_cfg": {"_target_": f"{model}cross_attention_dit.DiT", "num_layers": sizes.denoise, **heads,
                                "norm_type": "ada_norm", "output_dim": sizes.width, "interleave_self_attention": True},
        "mm_projector_cfg": {
            "_target_": f"{model}multimodal_projector.MultimodalProjector", "_convert_": "object",
            "config": {"_target_": f"{model}multimodal_projector.MultimodalProjectorConfig", "hidden_size": sizes.width,
                       "mm_hidden_size": sizes.width, "mm_projector_type": "mlp_doubledownsample"},
        },
    }  # fmt: skip
    return {
        "architectures": ["IDM"], "model_type": "idm", "action_dim": DIM, "action_horizon": HORIZON, "hidden_size": 0,
        "model_dtype": "float32", "torch_dtype": "float32",
        "backbone_cfg": {"_target_": "gr00t.model.backbone.IdentityBackbone"},
        "action_head_cfg": {"_target_": f"{model}{head}", "_convert_": "object", "config": inner},
    }  # fmt: skip


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the state dict, the tower's unused pooling head included."""
    out: dict[str, tuple[int, ...]] = {}
    width, mlp = sizes.vision_width, sizes.vision_mlp

    def linear(name: str, inputs: int, outputs: int) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str, size: int) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = (size,), (size,)

    tower = "siglip_model.vision_model."
    out["siglip_model.logit_scale"] = out["siglip_model.logit_bias"] = (1,)
    out[f"{tower}embeddings.patch_embedding.weight"] = (width, 3, 16, 16)
    out[f"{tower}embeddings.patch_embedding.bias"] = (width,)
    out[f"{tower}embeddings.position_embedding.weight"] = (256, width)
    for i in range(sizes.vision_layers):
        layer = f"{tower}encoder.layers.{i}."
        for part in ("q", "k", "v", "out"):
            linear(f"{layer}self_attn.{part}_proj", width, width)
        norm(f"{layer}layer_norm1", width)
        norm(f"{layer}layer_norm2", width)
        linear(f"{layer}mlp.fc1", width, mlp)
        linear(f"{layer}mlp.fc2", mlp, width)
    norm(f"{tower}post_layernorm", width)
    out[f"{tower}head.probe"] = (1, 1, width)
    out[f"{tower}head.attention.in_proj_weight"] = (3 * width, width)
    out[f"{tower}head.attention.in_proj_bias"] = (3 * width,)
    linear(f"{tower}head.attention.out_proj", width, width)
    norm(f"{tower}head.layernorm", width)
    linear(f"{tower}head.mlp.fc1", width, mlp)
    linear(f"{tower}head.mlp.fc2", mlp, width)
    linear("vision_projector", width, sizes.width)
    for first in (1, 6):
        norm(f"mm_projector.layers.{first}", 4 * sizes.width)
        linear(f"mm_projector.layers.{first + 1}", 4 * sizes.width, sizes.width)
        linear(f"mm_projector.layers.{first + 3}", sizes.width, sizes.width)
    for name, layers in (("vl_self_attention_model", sizes.mix), ("model", sizes.denoise)):
        for i in range(layers):
            block = f"{name}.transformer_blocks.{i}."
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                linear(f"{block}attn1.{part}", sizes.width, sizes.width)
            linear(f"{block}ff.net.0.proj", sizes.width, 4 * sizes.width)
            linear(f"{block}ff.net.2", 4 * sizes.width, sizes.width)
            if name == "model":
                linear(f"{block}norm1.linear", sizes.width, 2 * sizes.width)
            else:
                norm(f"{block}norm1", sizes.width)
                norm(f"{block}norm3", sizes.width)
    linear("model.timestep_encoder.timestep_embedder.linear_1", 256, sizes.width)
    linear("model.timestep_encoder.timestep_embedder.linear_2", sizes.width, sizes.width)
    linear("model.proj_out_1", sizes.width, 2 * sizes.width)
    linear("model.proj_out_2", sizes.width, sizes.width)
    for name, inputs, outputs in (
        ("action_encoder.W1", DIM, sizes.width), ("action_encoder.W2", 2 * sizes.width, sizes.width),
        ("action_encoder.W3", sizes.width, sizes.width),
        ("action_decoder.layer1", sizes.width, sizes.width), ("action_decoder.layer2", sizes.width, DIM),
    ):  # fmt: skip
        out[f"{name}.W"], out[f"{name}.b"] = (SLOTS, inputs, outputs), (SLOTS, outputs)
    out["position_embedding.weight"] = (1024, sizes.width)
    out["view_embedding.weight"] = (6, sizes.width)
    return {f"action_head.{name}": shape for name, shape in out.items()}


def random_weights(sizes: Sizes = SMALL, seed: int = 0, device: str = "cpu") -> dict[str, torch.Tensor]:
    """Weights at which every part of the network matters to the result."""
    generator = torch.Generator(device).manual_seed(seed)
    found = {}
    for name, shape in shapes(sizes).items():
        draw = torch.randn(shape, generator=generator, device=device)
        if "norm" in name and name.endswith(".weight") and len(shape) == 1:
            value = 1 + 0.2 * draw
        elif len(shape) == 1 or name.endswith(".b"):
            value = 0.2 * draw
        elif name.endswith(".W"):
            value = draw / math.sqrt(shape[1])
        else:
            value = draw / math.sqrt(math.prod(shape[1:]))
        found[name] = value.cpu()
    return found


def write_safetensors(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """The format: header length, JSON header, bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, value in weights.items():
        size = value.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for value in weights.values():
            stream.write(value.numpy().tobytes())


def stats() -> dict[str, Any]:
    """stats.json with the limits above."""
    one = {"mean": [0.0] * 6, "std": [30.0] * 6, "min": STATS_LOW, "max": STATS_HIGH, "q01": STATS_LOW,
           "q99": STATS_HIGH}  # fmt: skip
    return {"action": one, "observation.state": one}


def write_checkpoint(
    folder: Path,
    tower: str,
    sizes: Sizes,
    weights: dict[str, torch.Tensor],
    geometry: tuple[int, int],
    fps: float = 30.0,
) -> None:
    """A folder as idm_training.py leaves it, conf.yaml included. geometry: (width, height) px of the videos."""
    (folder / "experiment_cfg").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config(tower, sizes)))
    write_safetensors(folder / "model.safetensors", weights)
    (folder / "experiment_cfg" / "conf.yaml").write_text(configs.conf_yaml(SO101, ("front",)))
    (folder / "experiment_cfg" / "metadata.json").write_text(
        json.dumps(configs.metadata(SO101, "front", stats(), geometry, fps))
    )


def write_artifact(
    folder: Path, geometry: tuple[int, int], *, sizes: Sizes = SMALL, seed: int = 0, fps: float = 30.0
) -> Description:
    """A published artifact with random weights."""
    checkpoint = folder.with_name(folder.name + "-checkpoint")
    write_checkpoint(checkpoint, "small", sizes, random_weights(sizes, seed), geometry, fps)
    return publish(
        checkpoint, folder, SO101, "front", stats=stats(), geometry=geometry, fps=fps, facts={}, vision=sizes.vision
    )


class Plain:
    """The network, plainly. `act(images, noise)` -> (windows, 16, 32)."""

    def __init__(self, weights: dict[str, torch.Tensor], sizes: Sizes = SMALL, slot: int = SO101.gr00t.id) -> None:
        self.sizes = sizes
        self.w = {name.removeprefix("action_head."): value for name, value in weights.items()}
        self.slot = slot

    def linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def slotted(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w[f"{name}.W"][self.slot] + self.w[f"{name}.b"][self.slot]

    @staticmethod
    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        share = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        return (share @ v).transpose(1, 2).flatten(2)

    def tower(self, images: torch.Tensor) -> torch.Tensor:
        name = "siglip_model.vision_model."
        patch = (self.w[f"{name}embeddings.patch_embedding.{part}"] for part in ("weight", "bias"))
        x = F.conv2d(images, *patch, stride=16).flatten(2).transpose(1, 2)
        x = x + self.w[f"{name}embeddings.position_embedding.weight"]
        for i in range(self.sizes.vision_layers):
            layer = f"{name}encoder.layers.{i}."
            h = self.norm(f"{layer}layer_norm1", x, 1e-6)
            q, k, v = (self.linear(f"{layer}self_attn.{part}_proj", h) for part in "qkv")
            x = x + self.linear(f"{layer}self_attn.out_proj", self.attention(q, k, v, self.sizes.vision_heads))
            h = self.norm(f"{layer}layer_norm2", x, 1e-6)
            x = x + self.linear(f"{layer}mlp.fc2", F.gelu(self.linear(f"{layer}mlp.fc1", h), approximate="tanh"))
        return self.norm(f"{name}post_layernorm", x, 1e-6)

    def image_tokens(self, images: torch.Tensor) -> torch.Tensor:
        x = self.linear("vision_projector", self.tower(images))
        for first in (1, 6):
            side = math.isqrt(x.shape[1])
            square = [[None] * (side // 2) for _ in range(side // 2)]
            grid = x.unflatten(1, (side, side))
            for row in range(side // 2):
                for column in range(side // 2):
                    four = grid[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                    square[column][row] = four.flatten(1)
            x = torch.stack([one for line in square for one in line], dim=1)
            name = f"mm_projector.layers.{first}"
            x = self.linear(f"mm_projector.layers.{first + 1}", self.norm(name, x, 1e-5))
            x = self.linear(f"mm_projector.layers.{first + 3}", F.gelu(x))
        return x

    def block(self, name: str, h: torch.Tensor, x: torch.Tensor, context: torch.Tensor, norm3: Any) -> torch.Tensor:
        q = self.linear(f"{name}attn1.to_q", h)
        k, v = (self.linear(f"{name}attn1.to_{part}", context) for part in "kv")
        x = x + self.linear(f"{name}attn1.to_out.0", self.attention(q, k, v, self.sizes.heads))
        inner = F.gelu(self.linear(f"{name}ff.net.0.proj", norm3(x)), approximate="tanh")
        return x + self.linear(f"{name}ff.net.2", inner)

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        for i in range(self.sizes.mix):
            name = f"vl_self_attention_model.transformer_blocks.{i}."
            h = self.norm(f"{name}norm1", x, 1e-5)
            x = self.block(name, h, x, h, lambda y, name=name: self.norm(f"{name}norm3", y, 1e-5))
        return x

    def denoise(self, x: torch.Tensor, context: torch.Tensor, time: int) -> torch.Tensor:
        rates = torch.exp(-math.log(10000) * torch.arange(128) / 127)
        waves = torch.cat([torch.cos(time * rates), torch.sin(time * rates)])[None]
        embed = "model.timestep_encoder.timestep_embedder.linear_"
        temb = self.linear(f"{embed}2", F.silu(self.linear(f"{embed}1", waves)))
        bare = lambda y: F.layer_norm(y, y.shape[-1:], eps=1e-5)  # noqa: E731
        for i in range(self.sizes.denoise):
            name = f"model.transformer_blocks.{i}."
            scale, shift = self.linear(f"{name}norm1.linear", F.silu(temb)).chunk(2, dim=1)
            h = bare(x) * (1 + scale) + shift
            x = self.block(name, h, x, h if i % 2 else context, bare)
        shift, scale = self.linear("model.proj_out_1", F.silu(temb)).chunk(2, dim=1)
        return self.linear("model.proj_out_2", F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)

    @torch.no_grad()
    def act(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """images: (2 * windows, 3, 256, 256), a window's two in turn. noise: (windows, 16, 32)."""
        windows = len(noise)
        tokens = self.image_tokens(images).unflatten(0, (windows, 2)) + self.w["view_embedding.weight"][:2, None]
        padded = torch.zeros(windows, SEQUENCE, self.sizes.width)
        padded[:, SEQUENCE - 2 * TOKENS :] = tokens.flatten(1, 2)
        actions = noise
        for step in range(STEPS):
            time, half = int(step / STEPS * 1000), self.sizes.width // 2
            rates = torch.exp(-torch.arange(half) * (math.log(10000.0) / (half)))
            tau = torch.cat([torch.sin(time * rates), torch.cos(time * rates)]).expand(windows, HORIZON, -1)
            x = torch.cat([self.slotted("action_encoder.W1", actions), tau], dim=-1)
            x = self.slotted("action_encoder.W3", F.silu(self.slotted("action_encoder.W2", x)))
            x = x + self.w["position_embedding.weight"][:HORIZON]
            out = self.denoise(x, self.mix(padded), time)
            velocity = self.slotted("action_decoder.layer2", F.relu(self.slotted("action_decoder.layer1", out)))
            actions = actions + velocity / STEPS
        return actions


def pictures(frames: int, width: int, height: int, seed: int = 0) -> np.ndarray:
    """A moving scene with flat areas and texture, (frames, height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    out = np.empty((frames, height, width, 3), np.uint8)
    for k in range(frames):
        image = base.copy()
        left = (5 + 3 * k) % (width // 2)
        image[height // 4 : height // 2, left : left + width // 4] = rng.integers(0, 255, 3)
        image[: height // 8] = 255
        out[k] = image
    return out
