"""Cosmos 3 by diffusers' own pipeline: one network reads the prompt and makes the video, without a text encoder.

Written against diffusers 0.42's Cosmos3OmniPipeline. It is told the video's rate, and takes the conditioning frames as
pictures between 0 and 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, Cosmos3OmniPipeline, Cosmos3OmniTransformer, UniPCMultistepScheduler
from typing_extensions import override

from leicos_jobs.backends.cosmos import models, weights
from leicos_jobs.backends.cosmos.pipeline import VideoModel, Wanted
from leicos_jobs.core.errors import InputError

NANO_HIDDEN_SIZE = 4096
"""Channels of Cosmos3-Nano's network, the default of its class; Edge's has fewer."""
_TINY = {
    "head_dim": 16, "hidden_size": 32, "intermediate_size": 64, "latent_channel": 16, "num_attention_heads": 2,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "patch_latent_dim": 64, "rope_axes_dim": [4, 2, 2],
    "vocab_size": 320,
}  # fmt: skip
_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


class OmniModel(VideoModel):
    """The loaded model of family cosmos3."""

    @override
    def _assemble(self, checkpoint: Path | None, work: Path | None) -> Any:
        """Raises InputError: weights that are not there, do not fit or are of the other size."""
        settings = self.settings
        if settings.weights is None:
            return tiny().to(self.device, self.dtype)
        folder = weights.locate(settings.weights, "weights")
        if not folder.is_dir():
            raise InputError(
                f"generate.settings.weights: {folder} is a file", fix="name a whole folder in diffusers' layout"
            )
        config = weights.read_config(folder, "transformer", "Cosmos3OmniTransformer")
        if settings.size in ("edge", "nano") and (config.get("hidden_size") == NANO_HIDDEN_SIZE) != (
            settings.size == "nano"
        ):
            raise InputError(
                f"{folder / 'transformer'} is not Cosmos 3 of size {settings.size}: its network has "
                f"{config.get('hidden_size')} channels",
                fix="set generate.settings.size to that of the weights",
            )
        denoiser = weights.load_part(Cosmos3OmniTransformer, folder, "transformer", self.dtype)
        vae = weights.load_part(AutoencoderKLWan, folder, "vae", self.dtype)
        self.digest = weights.digest(folder)
        try:
            pipe = Cosmos3OmniPipeline.from_pretrained(
                str(folder), transformer=denoiser.eval(), vae=vae.eval(), sound_tokenizer=None, safety_checker=None,
                enable_safety_checker=False, local_files_only=True,
            )  # fmt: skip
        except Exception as error:  # a missing tokenizer, a damaged JSON: each has its own exception
            raise InputError(
                f"{folder} cannot be loaded: {error}", fix="give a whole folder in diffusers' layout"
            ) from error
        return pipe.to(self.device)

    @override
    def prepare(self, prompts: list[str]) -> None:
        """Nothing: its network reads the prompt itself."""

    @override
    def _chunk(self, wanted: Wanted, given: torch.Tensor, number: int) -> torch.Tensor:
        result = self.pipe(
            prompt=wanted.prompt, negative_prompt=self.settings.negative_prompt,
            video=((given.float() + 1) / 2).clamp(0, 1).transpose(1, 2), condition_video_keep="last",
            height=given.shape[-2], width=given.shape[-1], num_frames=self.settings.native.frames, fps=wanted.fps,
            num_inference_steps=self.settings.steps, guidance_scale=self.settings.guidance,
            generator=torch.Generator().manual_seed(wanted.seed + number), output_type="latent",
            callback_on_step_end=self._after_step,
        )  # fmt: skip
        return result.video  # type: ignore[no-any-return]

    @override
    def _restored(self, latents: torch.Tensor) -> torch.Tensor:
        mean, inverse = (
            part.to(latents.device, self.dtype).view(1, -1, 1, 1, 1)
            for part in (self.pipe._vae_latents_mean, self.pipe._vae_latents_inv_std)
        )
        restored: torch.Tensor = latents.to(self.dtype) / inverse + mean
        return restored


def tiny() -> Cosmos3OmniPipeline:
    """The pipeline with small random weights, the same each time, and a tokenizer of single bytes."""
    vae = models.tiny()[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(models.SEED)
        denoiser = Cosmos3OmniTransformer(**_TINY)
    scheduler = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=5.0)
    return Cosmos3OmniPipeline(
        transformer=denoiser.eval(), text_tokenizer=_tokenizer(), vae=vae.eval(), scheduler=scheduler,
        enable_safety_checker=False,
    )  # fmt: skip


def _tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    alphabet = {letter: index for index, letter in enumerate(sorted(ByteLevel.alphabet()))}
    bytewise = ByteLevelBPETokenizer(vocab=alphabet, merges=[])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise._tokenizer, eos_token=_TOKENS[1], additional_special_tokens=list(_TOKENS),
        chat_template=_TEMPLATE,
    )  # fmt: skip
