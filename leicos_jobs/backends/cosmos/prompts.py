"""Embeddings of prompts: computed once per distinct text, by an encoder that is loaded for that and freed again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import Cosmos2_5_PredictBasePipeline
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from leicos_jobs.backends.cosmos import models
from leicos_jobs.backends.cosmos.weights import load_part
from leicos_jobs.core import logs
from leicos_jobs.core.digests import sha256_bytes
from leicos_jobs.core.errors import InputError

Encode = Callable[[Sequence[str]], list[torch.Tensor]]
"""Texts to embeddings, each (1, tokens, channels), on the CPU."""


class Prompts:
    """Embeddings by text, kept in host memory: 103 MB each in bfloat16.

    checkpoint: folder in which post-train left those that it computed. shared: the file through which workers share a
    text's embedding, None where they need not; a damaged file is written again.
    """

    def __init__(
        self,
        encode: Encode,
        checkpoint: Path | None = None,
        shared: Callable[[str], Path | None] = lambda _text: None,
    ) -> None:
        self._encode = encode
        self._checkpoint = checkpoint
        self._shared = shared
        self._known: dict[str, torch.Tensor] = {}

    def prepare(self, texts: Iterable[str]) -> None:
        """Compute what is not known yet, all of it in one go."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known |= {text: kept for text in new if (kept := self._read(text)) is not None}
        new = [text for text in new if text not in self._known]
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
            logs.event("cosmos.prompts_encoded", new=len(new))
        for text in new:
            self._share(text)

    def _read(self, text: str) -> torch.Tensor | None:
        places = [self._checkpoint and _path(self._checkpoint, text), self._shared(text)]
        return next((kept for path in places if path and (kept := _read(path)) is not None), None)

    def _share(self, text: str) -> None:
        if (path := self._shared(text)) is None:
            return
        try:
            _write(path, self._known[text])
        except OSError as error:  # no room: this worker has it in memory, others compute it
            logs.event("cosmos.embedding_not_kept", path=path, error=str(error))

    def embedding(self, text: str) -> torch.Tensor:
        """(1, tokens, channels), on the CPU."""
        self.prepare([text])
        return self._known[text]

    def keep(self, folder: Path) -> None:
        """Write all that are known into a checkpoint's folder, named by their text's digest."""
        for text, value in self._known.items():
            _write(_path(folder, text), value)


def _path(folder: Path, text: str) -> Path:
    return folder / "prompts" / f"{sha256_bytes(text.encode())}.safetensors"


def _write(path: Path, value: torch.Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = value.contiguous()
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(save({"embedding": value}, {"sha256": _digest(value)}))
    partial.replace(path)


def _read(path: Path) -> torch.Tensor | None:
    """The embedding in a file; None if there is none, or if it is not what was written."""
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            value: torch.Tensor = file.get_tensor("embedding")
            wrong = (file.metadata() or {}).get("sha256") != _digest(value)
    except (OSError, SafetensorError, ValueError) as error:
        logs.event("cosmos.embedding_damaged", path=path, error=str(error)[:200])
        return None
    if wrong:
        logs.event("cosmos.embedding_damaged", path=path, error="its digest is another one")
    return None if wrong else value


def _digest(value: torch.Tensor) -> str:
    return sha256_bytes(value.view(torch.uint8).numpy().tobytes())


def tiny_encode(texts: Sequence[str]) -> list[torch.Tensor]:
    """In the place of the text encoder for size tiny."""
    return [models.tiny_embedding(bytes.fromhex(sha256_bytes(text.encode()))) for text in texts]


def encode_with(folder: Path, device: torch.device, dtype: torch.dtype, pipe: Any, offload: bool) -> Encode:
    """The encoder in a folder, loaded at each call and freed after it.

    pipe: its models wait in host memory meanwhile if `offload` says so.
    """

    def encode(texts: Sequence[str]) -> list[torch.Tensor]:
        if offload:
            pipe.to("cpu")
        try:
            return _encode(folder, device, dtype, pipe, texts)
        finally:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
            if offload:
                pipe.to(device)

    return encode


def _encode(
    folder: Path, device: torch.device, dtype: torch.dtype, pipe: Any, texts: Sequence[str]
) -> list[torch.Tensor]:
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    except Exception as error:  # a missing folder, a damaged JSON, an unknown class: each has its own exception
        raise InputError(
            f"{folder / 'tokenizer'} cannot be loaded: {error}", fix="give a whole folder in diffusers' layout"
        ) from error
    encoder = load_part(Qwen2_5_VLForConditionalGeneration, folder, "text_encoder", dtype).to(device).eval()
    alone = Cosmos2_5_PredictBasePipeline(
        text_encoder=encoder,
        tokenizer=tokenizer,
        transformer=None,
        vae=pipe.vae,  # it asks for its latents' statistics
        scheduler=None,
        safety_checker=Unchecked(),
    )
    with torch.no_grad():
        return [
            alone.encode_prompt(text, do_classifier_free_guidance=False, device=device, dtype=dtype)[0].cpu()
            for text in texts
        ]


class Unchecked:
    """A guardrail that is off: diffusers asks for one."""

    def to(self, *_args: object, **_named: object) -> Unchecked:
        """Nothing to move."""
        return self
