"""docs/storage.md: the settings that it shows are taken by the store and by the chart, and say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import Session
from chart.rendering import CHART, of_kind, render

from leicos_jobs.store.s3.settings import read_settings

PAGE = (CHART.parents[1] / "docs" / "storage.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
PROVIDERS = [
    "Amazon S3",
    "Google Cloud Storage",
    "Cloudflare R2",
    "MinIO",
    "Ceph (RADOS Gateway)",
    "SeaweedFS",
    "Alibaba Cloud OSS",
]


def blocks(provider: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[provider], re.DOTALL)


def environment(block: str) -> dict[str, str]:
    """Each line is `export NAME=value`."""
    pairs = [re.fullmatch(r"export ([A-Z0-9_]+)=(\S+)", line) for line in block.splitlines()]
    assert all(pairs), block
    return {pair[1]: pair[2] for pair in pairs if pair}


def said(values: dict[str, Any]) -> dict[str, str]:
    """What the chart says to pods."""
    maps = of_kind(render(values), "ConfigMap")
    assert "artifact-repositories" in maps
    return dict(maps["leicos-s3"]["data"])


def comparable(given: dict[str, str]) -> object:
    return read_settings(Session(), {name: value for name, value in given.items() if name != "AWS_CA_BUNDLE"})


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_environment_and_the_values_of_a_provider_say_the_same(provider: str) -> None:
    shells, files = blocks(provider, "sh"), blocks(provider, "yaml")
    assert shells
    assert len(shells) == len(files)
    for shell, file in zip(shells, files, strict=True):
        given, pods = environment(shell), said(yaml.safe_load(file))
        assert given.keys() >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}
        assert comparable(given) == comparable(pods)
        assert ("AWS_CA_BUNDLE" in given) == ("AWS_CA_BUNDLE" in pods)
        assert ("AWS_SESSION_TOKEN" in given) == ("sessionToken: true" in file)


def test_the_page_names_every_setting_and_every_value_of_the_store() -> None:
    package = CHART.parents[1] / "leicos_jobs" / "store" / "s3"
    source = "".join(path.read_text() for path in sorted(package.glob("*.py")))
    read = set(re.findall(r'"((?:AWS|LEICOS)_[A-Z0-9_]+)"', source))
    assert len(read) > 5
    assert [name for name in sorted(read) if f"`{name}`" not in PAGE] == []
    values = yaml.safe_load((Path(CHART) / "values.yaml").read_text())["store"]
    flat = [f"{name}.{key}" for name, item in values.items() if isinstance(item, dict) for key in item]
    names = [name for name, item in values.items() if not isinstance(item, dict)] + flat
    missing = [name for name in names if f"store.{name}" not in PAGE and f"store.{name.split('.')[0]}`" not in PAGE]
    assert missing == ["bucket"], "a run's bucket stands in its URI"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_says_how_it_was_tested(provider: str) -> None:
    assert re.search(r"^(Tested on (an imitation|the real server)|Not tested)", SECTIONS[provider], re.MULTILINE)
