"""Reading upstream's checkpoint folder: weights (safetensors) and the sizes of the network (config.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import AliasPath, BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from leicos_jobs.core.errors import InputError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
KNOWN_VISION: dict[str, dict[str, Any]] = {
    "google/siglip2-large-patch16-256": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 256, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    },
}  # fmt: skip
"""Vision towers by hub name: a checkpoint names its tower and does not describe it."""

_HEAD = "gr00t.model.action_head."


class Architecture(BaseModel):
    """Sizes of the network, as config.json and the tower's own configuration give them."""

    model_config = ConfigDict(frozen=True)

    vision_layers: int = Field(validation_alias=AliasPath("tower", "num_hidden_layers"))
    vision_width: int = Field(validation_alias=AliasPath("tower", "hidden_size"))
    vision_heads: int = Field(validation_alias=AliasPath("tower", "num_attention_heads"))
    vision_eps: float = Field(validation_alias=AliasPath("tower", "layer_norm_eps"))
    image: int = Field(validation_alias=AliasPath("tower", "image_size"))
    patch: int = Field(validation_alias=AliasPath("tower", "patch_size"))
    width: int = Field(validation_alias=AliasPath("config", "hidden_size"))
    mix_layers: int = Field(validation_alias=AliasPath("config", "vl_self_attention_cfg", "num_layers"))
    mix_heads: int = Field(validation_alias=AliasPath("config", "vl_self_attention_cfg", "num_attention_heads"))
    denoise_layers: int = Field(validation_alias=AliasPath("config", "diffusion_model_cfg", "num_layers"))
    denoise_heads: int = Field(validation_alias=AliasPath("config", "diffusion_model_cfg", "num_attention_heads"))
    steps: int = Field(validation_alias=AliasPath("config", "num_inference_timesteps"))
    buckets: int = Field(validation_alias=AliasPath("config", "num_timestep_buckets"))
    horizon: int = Field(validation_alias=AliasPath("config", "action_horizon"))
    action_dim: int = Field(validation_alias=AliasPath("config", "action_dim"))
    slots: int = Field(32, validation_alias=AliasPath("config", "max_num_embodiments"))

    @property
    def patches(self) -> int:
        """Tokens per image inside the tower."""
        return (self.image // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """Tokens per image after the projector's two 2x2 merges."""
        return self.patches // 16


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, one or as its index names them. Raises InputError."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        names = json.loads((folder / INDEX).read_text())["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    raise InputError(f"{folder} has no {WEIGHTS}", fix="name a checkpoint folder of IDM training")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint on the CPU, as stored, backed by the mapped files. Raises InputError."""
    found: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            found |= load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} is not a whole safetensors file: {error}", fix="copy it again") from error
    return found


def is_whole(path: Path) -> bool:
    """Whether a safetensors file has the length that its header promises (a killed writer leaves a shorter one)."""
    try:
        with safe_open(path, "pt"):
            return True
    except (OSError, SafetensorError):
        return False


def read_architecture(folder: Path, vision: dict[str, Any] | None = None) -> Architecture:
    """Sizes from config.json. vision: the tower's configuration where its hub name is not a known one.

    Raises InputError for a network that the engine does not compute, naming the field.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text())["action_head_cfg"]["config"]
        name = config["siglip_model_cfg"]["pretrained_model_name_or_path"]
        tower: dict[str, Any] | None = vision or KNOWN_VISION.get(name) or _local_tower(name)
        if tower is None:
            raise InputError(f"{path}: the vision tower {name!r} is not known", fix="give its configuration")
        _check(path, config, tower)
        return Architecture.model_validate({"config": config, "tower": tower})
    except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not describe a GR00T-Dreams IDM: {error!r}") from error


def _local_tower(name: str) -> dict[str, Any] | None:
    path = Path(name) / CONFIG
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text())["vision_config"]
    return found


def _check(path: Path, config: dict[str, Any], tower: dict[str, Any]) -> None:
    """Everything that would make the function another one must have the value that the engine computes."""
    denoise, mix = config["diffusion_model_cfg"], config["vl_self_attention_cfg"]
    head = {"positional_embeddings": None, "activation_fn": "gelu-approximate", "attention_bias": True,
            "upcast_attention": False}  # fmt: skip
    wanted = [
        ("siglip hidden_act", tower.get("hidden_act", "gelu_pytorch_tanh"), "gelu_pytorch_tanh"),
        ("mm_projector_type", config["mm_projector_cfg"]["config"]["mm_projector_type"], "mlp_doubledownsample"),
        ("add_pos_embed", config.get("add_pos_embed"), True),
        ("add_view_embed", config.get("add_view_embed"), True),
        ("diffusion_model_cfg._target_", denoise["_target_"], _HEAD + "cross_attention_dit.DiT"),
        ("vl_self_attention_cfg._target_", mix["_target_"], _HEAD + "cross_attention_dit.SelfAttentionTransformer"),
        ("norm_type", denoise.get("norm_type", "ada_norm"), "ada_norm"),
        ("norm_elementwise_affine", denoise.get("norm_elementwise_affine", False), False),
        ("interleave_self_attention", denoise.get("interleave_self_attention", False), True),
        ("norm_eps", denoise.get("norm_eps", 1e-5), 1e-5),
        ("output_dim", denoise["output_dim"], config["hidden_size"]),
    ]
    for part, which in ((denoise, "diffusion_model_cfg"), (mix, "vl_self_attention_cfg")):
        given = {"positional_embeddings": "sinusoidal", **{key: head[key] for key in list(head)[1:]}} | part
        wanted += [(f"{which}.{key}", given[key], value) for key, value in head.items()]
        total = part["num_attention_heads"] * part["attention_head_dim"]
        wanted.append((f"{which} width", total, config["hidden_size"]))
    for name, given, value in wanted:
        if given != value:
            raise InputError(f"{path}: {name} is {given!r}; the engine computes {value!r} only")
