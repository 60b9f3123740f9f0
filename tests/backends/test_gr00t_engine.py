"""The engine against the network written down plainly (`gr00t_small.Plain`), which shares no code with it."""

from __future__ import annotations

import json
from pathlib import Path

import gr00t_small as small
import pytest
import torch

from leicos_jobs.backends.gr00t_dreams.checkpoint import is_whole, read_architecture, read_weights
from leicos_jobs.backends.gr00t_dreams.engine import Engine, Plan
from leicos_jobs.core.errors import InputError

WINDOWS = 3


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return small.random_weights()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, weights: dict[str, torch.Tensor]) -> Path:
    path = tmp_path_factory.mktemp("gr00t") / "checkpoint"
    small.write_checkpoint(path, "small", small.SMALL, weights, (64, 48))
    return path


@pytest.fixture(scope="module")
def case(weights: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures (2 * windows, 3, 256, 256), noise, and the plain network's answer."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(2 * WINDOWS, 3, 256, 256, generator=generator) * 2 - 1
    noise = torch.randn(WINDOWS, 16, 32, generator=generator)
    return images, noise, small.Plain(weights).act(images, noise)


def patches(images: torch.Tensor) -> torch.Tensor:
    cut = images.unflatten(3, (16, 16)).unflatten(2, (16, 16))
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(len(images), 256, 768)


def engine(folder: Path, weights: dict[str, torch.Tensor], **changes: object) -> Engine:
    plan = Plan(**({"dtype": torch.float32, "frames": 2 * WINDOWS, "windows": WINDOWS} | changes))  # type: ignore[arg-type]
    sizes = read_architecture(folder, small.SMALL.vision)
    return Engine(weights, sizes, slot=31, sequence=small.SEQUENCE, device=torch.device("cpu"), plan=plan)


def answer(made: Engine, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    tokens = made.run_encode(patches(images).to(made.plan.dtype))
    return made.run_act(tokens.view(len(noise), 2 * small.TOKENS, -1), noise)


def relative(ours: torch.Tensor, theirs: torch.Tensor, noise: torch.Tensor) -> float:
    return float((ours - theirs).norm() / (theirs - noise).norm())


@pytest.mark.parametrize("fold_pads", [True, False])
def test_same_as_the_plain_network(folder, weights, case, fold_pads):
    images, noise, theirs = case
    assert float((theirs - noise).std()) > 0.5, "the sampler must move, or the comparison says nothing"
    assert relative(answer(engine(folder, weights, fold_pads=fold_pads), images, noise), theirs, noise) < 1e-5


def test_bf16_is_near(folder, weights, case):
    images, noise, theirs = case
    ours = answer(engine(folder, weights, dtype=torch.bfloat16), images, noise)
    assert 1e-5 < relative(ours, theirs, noise) < 2e-2


def moved(value: torch.Tensor) -> torch.Tensor:
    return value + 0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(9))


def test_every_weight_matters(folder, weights, case):
    """But those that upstream carries and never uses: the pooling head, and positions and slots beyond ours."""
    images, noise, _ = case
    base = answer(engine(folder, weights), images[:2], noise[:1])
    groups = (
        "embeddings.position", "layers.1.mlp.fc1", "post_layernorm", "vision_projector", "mm_projector.layers.9",
        "vl_self_attention_model.transformer_blocks.1.norm3", "timestep_embedder.linear_1", "proj_out_1",
        "model.transformer_blocks.3.attn1.to_v", "action_encoder.W3", "action_decoder.layer1", "view_embedding",
    )  # fmt: skip
    for group in groups:
        changed = {name: moved(value) if group in name else value for name, value in weights.items()}
        assert not torch.allclose(answer(engine(folder, changed), images[:2], noise[:1]), base, atol=1e-6), group
    other = {name: value + 1 if ".head." in name else value for name, value in weights.items()}
    assert torch.equal(answer(engine(folder, other), images[:2], noise[:1]), base)


def test_static_buffers_and_neighbours(folder, weights, case):
    """`encode` and `act` work on the buffers, and a row does not see the others."""
    images, noise, theirs = case
    made = engine(folder, weights)
    made.patches.copy_(patches(images))
    made.encode()
    made.pairs.copy_(made.tokens.view(WINDOWS, 2 * small.TOKENS, -1))
    made.noise.copy_(noise)
    made.act()
    assert relative(made.actions, theirs, noise) < 1e-5
    first = made.actions[0].clone()
    made.pairs[1:] = 7.0
    made.noise[1:] = -3.0
    made.act()
    assert torch.equal(made.actions[0], first)


def test_another_slot_is_another_robot(folder, weights, case):
    images, noise, theirs = case
    sizes = read_architecture(folder, small.SMALL.vision)
    made = Engine(weights, sizes, slot=17, sequence=small.SEQUENCE, device=torch.device("cpu"),
                  plan=Plan(torch.float32, 6, 3))  # fmt: skip
    ours = answer(made, images, noise)
    assert relative(ours, theirs, noise) > 0.1
    assert relative(ours, small.Plain(weights, slot=17).act(images, noise), noise) < 1e-5


def test_weights_are_read_back(folder, weights, tmp_path):
    found = read_weights(folder)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    half = dict(list(weights.items())[::2])
    rest = dict(list(weights.items())[1::2])
    small.write_safetensors(tmp_path / "model-1.safetensors", half)
    small.write_safetensors(tmp_path / "model-2.safetensors", rest)
    names = dict.fromkeys(half, "model-1.safetensors") | dict.fromkeys(rest, "model-2.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert read_weights(tmp_path).keys() == weights.keys()


def test_a_cut_file_is_refused(folder, tmp_path):
    whole = folder / "model.safetensors"
    cut = tmp_path / "model.safetensors"
    cut.write_bytes(whole.read_bytes()[:-1000])
    assert is_whole(whole)
    assert not is_whole(cut)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read_weights(tmp_path)
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        read_weights(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("diffusion_model_cfg", "norm_type", "layer_norm"),
        ("diffusion_model_cfg", "interleave_self_attention", False),
        ("diffusion_model_cfg", "positional_embeddings", "sinusoidal"),
        ("vl_self_attention_cfg", "activation_fn", "geglu"),
        ("", "add_view_embed", False),
    ],
)
def test_another_network_is_refused(folder, tmp_path, part, field, value):
    config = json.loads((folder / "config.json").read_text())
    head = config["action_head_cfg"]["config"]
    (head[part] if part else head)[field] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=field):
        read_architecture(tmp_path, small.SMALL.vision)


def test_an_unknown_tower_is_refused(folder):
    with pytest.raises(InputError, match="vision tower 'small' is not known"):
        read_architecture(folder)


def test_a_missing_weight_is_named(folder, weights):
    lacking = {name: value for name, value in weights.items() if "proj_out_2.bias" not in name}
    with pytest.raises(InputError, match=r"proj_out_2\.bias"):
        engine(folder, lacking)
