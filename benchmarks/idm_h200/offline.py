"""What it takes to run GR00T-Dreams' own scripts with no network and without packages that they import but never use.

Written by us from reading the source at ec3881d: nothing here edits a checkout. Two things are made in a folder:
import stubs (`stubs`), and a Hugging Face cache with a SigLIP of the right shape and random weights (`hub`).

    python offline.py stubs DIR | hub DIR | processor DIR      (the last: a cache without weights, for tests)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

SIGLIP = "google/siglip2-large-patch16-256"
REVISION = "0" * 40

STUBS = {
    "pytorch3d/__init__.py": "",
    "pytorch3d/transforms.py": "",  # used for rotation targets only, which joint robots have not
    "albumentations/__init__.py": "",  # the other backend of the video transforms
    "tianshou/__init__.py": "",
    "tianshou/data.py": "class Batch(dict):\n    pass\n",  # the dump script uses it as a mapping
}

VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 256,
    "patch_size": 16,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
TEXT = {"hidden_size": 1024, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
        "vocab_size": 16, "max_position_embeddings": 8}  # fmt: skip
PROCESSOR = {
    "do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor",
    "processor_class": "SiglipProcessor", "resample": 2, "rescale_factor": 1 / 255,
    "size": {"height": 256, "width": 256},
}  # fmt: skip


def stubs(folder: Path, *, peft: bool) -> None:
    """Write the import stubs; peft only where it is not installed (it is called by no IDM code)."""
    files = dict(STUBS)
    if peft:
        files["peft/__init__.py"] = "LoraConfig = get_peft_model = object\n"
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def snapshot(home: Path) -> Path:
    """The folder of the tower's files in a hub cache below `home` (HF_HOME)."""
    repository = home / "hub" / f"models--{SIGLIP.replace('/', '--')}"
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(REVISION)
    return folder


def processor(home: Path) -> None:
    """Write the image processor, and a tokenizer of four words, which upstream loads beside it and never uses."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    folder = snapshot(home)
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))


def hub(home: Path, seed: int = 0) -> None:
    """Also SigLIP2-large's vision tower with random weights, and a one-layer text tower (the IDM deletes it)."""
    import torch
    from safetensors.torch import save_file
    from transformers import SiglipConfig, SiglipModel

    processor(home)
    config = SiglipConfig(vision_config=VISION, text_config=TEXT)
    config.architectures = ["SiglipModel"]
    config.save_pretrained(snapshot(home))
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in SiglipModel(config).state_dict().items()}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(seed)
    weights = {
        name: torch.ones(shape) if "norm" in name and name.endswith("weight")
        else torch.zeros(shape) if name.endswith("bias")
        else (torch.randn(shape, generator=generator, device=device) * 0.02).cpu()
        for name, shape in shapes.items()
    }  # fmt: skip
    save_file(weights, snapshot(home) / "model.safetensors", {"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["stubs", "hub", "processor"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.what == "stubs":
        import importlib.util

        stubs(options.folder, peft=importlib.util.find_spec("peft") is None)
    elif options.what == "hub":
        hub(options.folder)
    else:
        processor(options.folder)


if __name__ == "__main__":
    main()
