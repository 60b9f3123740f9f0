"""What the cosmos generator refuses before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from leicos_jobs.backends.cosmos.generator import CosmosGenerator
from leicos_jobs.backends.cosmos.settings import CosmosSettings
from leicos_jobs.core.errors import InputError
from leicos_jobs.run.check_config import check_backends
from leicos_jobs.run.config import RunConfig

GIVEN = {"weights": "nvidia/Cosmos-Predict2.5-2B"}


def check(settings: dict[str, Any], **generate: Any) -> None:
    source = {"files": ["a.hdf5"], "task": "Lift."}
    size = {"frames": 210, "width": 640, "height": 480}
    section = {"backend": "cosmos", "settings": settings} | size | generate
    check_backends(RunConfig.model_validate({"source": source, "generate": section}))


def test_the_tutorials_video_can_be_made() -> None:
    check(GIVEN)
    check({"size": "tiny"})
    check({"weights": "model_ema_bf16.pt", "base": "nvidia/Cosmos-Predict2.5-2B", "size": "14b"})


@pytest.mark.parametrize(
    ("settings", "generate", "said"),
    [
        ({}, {}, r"settings\.weights is required for size 2b(.|\n)*size: tiny needs none"),
        ({"weights": "model_ema_bf16.pt"}, {}, r"settings\.base is required"),
        (GIVEN, {"width": 4096}, r"at most 1920(.|\n)*nearest size is 1920x480"),
        ({"family": "predict9"}, {}, r"family"),
        (GIVEN | {"guidance": -1}, {}, r"guidance"),
        (GIVEN | {"stepz": 3}, {}, r"stepz"),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(settings: Any, generate: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check(settings, **generate)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [((650, 480), "656x480"), ((640, 476), "640x480"), ((1932, 6), "1920x16"), ((648, 648), "656x656")],
)
def test_a_size_that_cannot_be_made_names_the_nearest(size: tuple[int, int], nearest: str) -> None:
    with pytest.raises(InputError, match=f"cannot make {size[0]}x{size[1]}.*\n.*the nearest size is {nearest};"):
        CosmosSettings(size="tiny").check(*size)


def test_a_long_video_has_as_many_seeds_as_chunks() -> None:
    settings = CosmosSettings()
    spacing = [CosmosGenerator.seeds_per_sample(settings, frames) for frames in (6, 93, 94, 181, 182, 210)]
    assert spacing == [1, 1, 2, 2, 3, 3]


def test_where_it_runs_enters_no_id_and_what_it_makes_does() -> None:
    assert CosmosGenerator.identity(CosmosSettings(device="cpu", offload=True)) == {}
    changed = {"weights": "a", "steps": 10, "dtype": "float32", "compile": False, "vae_tiling": True}
    assert CosmosGenerator.identity(CosmosSettings(**changed)) == changed
