"""Finding and loading weights, strictly: a network with one tensor left at random makes videos that look like work.

diffusers itself fills missing tensors at random and only logs it; upstream does the same. Here missing, unexpected and
misshapen tensors are errors that list them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import CosmosTransformer3DModel

from leicos_jobs.backends.cosmos.models import DENOISERS, empty_denoiser
from leicos_jobs.core.digests import digest_of, sha256_file
from leicos_jobs.core.errors import InputError

_HUB = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")
_SHOWN = 8
FOREIGN = "give weights of Cosmos-Predict2.5 of the size that generate.settings.size names"

_OUTSIDE_BLOCKS = {
    "x_embedder.proj.1": "patch_embed.proj",
    "t_embedder.1.linear_1": "time_embed.t_embedder.linear_1",
    "t_embedder.1.linear_2": "time_embed.t_embedder.linear_2",
    "t_embedding_norm": "time_embed.norm",
    "crossattn_proj.0": "crossattn_proj.0",
    "final_layer.linear": "proj_out",
    "final_layer.adaln_modulation.1": "norm_out.linear_1",
    "final_layer.adaln_modulation.2": "norm_out.linear_2",
}
_ATTENTION = {
    "q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "output_proj": "to_out.0", "q_norm": "norm_q",
    "k_norm": "norm_k",
}  # fmt: skip
_IN_BLOCK = (
    {f"self_attn.{theirs}": f"attn1.{ours}" for theirs, ours in _ATTENTION.items()}
    | {f"cross_attn.{theirs}": f"attn2.{ours}" for theirs, ours in _ATTENTION.items()}
    | {"mlp.layer1": "ff.net.0.proj", "mlp.layer2": "ff.net.2"}
    | {
        f"adaln_modulation_{part}.{layer}": f"norm{number}.linear_{layer}"
        for number, part in enumerate(("self_attn", "cross_attn", "mlp"), start=1)
        for layer in (1, 2)
    }
)
_NO_WEIGHTS = re.compile(r"(pos_embedder\.(seq|dim_\w+_range)|accum_\w+|.*\._extra_state|_extra_state)")
"""What upstream's file holds beside weights: the training's counters, computed tables, marks of its kernels."""
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def locate(text: str, setting: str) -> Path:
    """The file or folder that a setting names. Raises InputError if it is not on this machine."""
    path = Path(text)
    if path.exists():
        return path
    match = _HUB.fullmatch(text)
    if match is None or text.endswith(".pt"):
        raise InputError(
            f"generate.settings.{setting}: {text} does not exist", fix="correct the path, or mount the model cache"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(match[1], revision=match[2], local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError):
        revision = f" --revision {match[2]}" if match[2] else ""
        raise InputError(
            f"generate.settings.{setting}: {text} is neither a folder nor in the model cache ($HF_HOME)",
            fix=f"fill the cache: hf download {match[1]}{revision}",
        ) from None


def ours(key: str) -> str | None:
    """diffusers' name of a tensor that upstream calls `key`; None for what is no weight. Unknown names stay."""
    name = key.removeprefix("net.")
    if _NO_WEIGHTS.fullmatch(name):
        return None
    stem, _, kind = name.rpartition(".")
    match = _BLOCK.fullmatch(stem)
    if match and match[2] in _IN_BLOCK:
        return f"transformer_blocks.{match[1]}.{_IN_BLOCK[match[2]]}.{kind}"
    return f"{_OUTSIDE_BLOCKS[stem]}.{kind}" if stem in _OUTSIDE_BLOCKS else name


def load_denoiser(path: Path, size: str, dtype: torch.dtype) -> CosmosTransformer3DModel:
    """The network of a size from a folder in diffusers' layout or from upstream's .pt file.

    Raises InputError: missing, damaged or partial files, another family or size, tensors that do not fit.
    """
    if path.is_file():
        return _from_upstream(path, size, dtype)
    config = read_config(path, "transformer", "CosmosTransformer3DModel")
    wanted = DENOISERS[size]
    other = {
        name: config.get(name)
        for name, value in wanted.items()
        if name in config and (list(value) if isinstance(value, tuple) else value) != config[name]
    }
    if other:
        told = ", ".join(f"{name} {value}, not {wanted[name]}" for name, value in sorted(other.items()))
        raise InputError(f"{path / 'transformer'} is not Predict2.5 of size {size}: it has {told}", fix=FOREIGN)
    return load_part(CosmosTransformer3DModel, path, "transformer", dtype)


def read_config(folder: Path, part: str, kind: str) -> dict[str, Any]:
    """config.json of one part of a folder. Raises InputError if it is missing or of another class."""
    path = folder / part / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = config.get("_class_name") or (config.get("architectures") or [None])[0]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", fix="give a whole folder in diffusers' layout, or download it again"
        ) from None
    if found != kind:
        raise InputError(f"{path} describes a {found}, not a {kind}", fix=FOREIGN)
    return config


def load_part(kind: Any, folder: Path, part: str, dtype: torch.dtype) -> Any:
    """A model of class `kind` from folder/part, every tensor from the files. Raises InputError."""
    read_config(folder, part, kind.__name__)
    place = folder / part
    try:
        model, info = kind.from_pretrained(
            str(place), torch_dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # diffusers, transformers and safetensors have no common class for damaged files
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise
        raise InputError(
            f"{place} cannot be loaded: {type(error).__name__}: {error}",
            fix="it is damaged, incomplete or of another model: download or copy it again",
        ) from error
    wrong = [str(item) for item in info.get("mismatched_keys", ())] + [str(item) for item in info.get("error_msgs", ())]
    require_all(place, info.get("missing_keys", ()), info.get("unexpected_keys", ()), wrong)
    return model


def _from_upstream(path: Path, size: str, dtype: torch.dtype) -> CosmosTransformer3DModel:
    try:
        tensors = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a cut zip, a foreign pickle, a text file: each has its own exception
        raise InputError(
            f"{path} is not a file of weights, or is incomplete: {type(error).__name__}: {error}",
            fix="copy or convert the checkpoint again",
        ) from error
    return fill(empty_denoiser(size), tensors, path, dtype)


def fill(
    model: CosmosTransformer3DModel, tensors: Mapping[str, torch.Tensor], path: Path, dtype: torch.dtype
) -> CosmosTransformer3DModel:
    """Give an empty network upstream's tensors, by upstream's names. path: for messages. Raises InputError."""
    if not isinstance(tensors, Mapping) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise InputError(
            f"{path} is not a table of tensors", fix="give model_ema_bf16.pt, the file that the conversion exports"
        )
    named = {name: value for key, value in tensors.items() if (name := ours(key)) is not None}
    wanted = model.state_dict()
    misshapen = [
        f"{name} {tuple(value.shape)}, not {tuple(wanted[name].shape)}"
        for name, value in named.items()
        if name in wanted and value.shape != wanted[name].shape
    ]
    require_all(path, wanted.keys() - named.keys(), named.keys() - wanted.keys(), misshapen)
    model.load_state_dict({name: value.to(dtype) for name, value in named.items()}, strict=True, assign=True)
    return model


def require_all(path: Path, missing: Iterable[str], unexpected: Iterable[str], misshapen: Iterable[str]) -> None:
    """Raises InputError that lists what does not fit, if anything does not."""
    lists = {"missing": sorted(missing), "unexpected": sorted(unexpected), "misshapen": sorted(misshapen)}
    told = [
        f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in lists.items()
        if names
    ]
    if told:
        raise InputError(f"{path}: its tensors do not fit: {'; '.join(told)}", fix=FOREIGN)


def digest(path: Path) -> str:
    """Digest of the denoiser's bytes, for records: of the file, or of the files in the folder's `transformer`."""
    if path.is_file():
        return sha256_file(path)
    return digest_of({file.name: sha256_file(file) for file in sorted((path / "transformer").iterdir())})
