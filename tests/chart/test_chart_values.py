"""Values: each is described, the README is made from them, and what is unset and needed is refused by name."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml
from chart.rendering import CHART, helm, render, values_of

from leicos_jobs.core.stages import Pool

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
COSMOS = {"cosmos": {"enabled": True, "licenceAccepted": True}}
GATED = [{"repository": "nvidia/x", "revision": "a" * 40, "gated": True}]
COSMOS_WEIGHTS = [{"repository": "nvidia/Cosmos-Predict2.5-2B", "revision": "a" * 40}]
SPOT = {"enabled": True, "nodeSelector": {"spot": "true"}}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    return {**SCHEMA["definitions"][node["$ref"].rpartition("/")[2]], **node}


def described(path: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value of the schema with its path."""
    node = resolved(node)
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", resolved(child)
        yield from described(f"{path}.{name}", child)
    if "items" in node:
        yield from described(f"{path}[]", node["items"])


def test_every_value_has_a_description_and_no_object_takes_a_misspelt_one() -> None:
    values = dict(described("", SCHEMA))
    assert len(values) > 150
    assert [path for path, node in values.items() if len(node.get("description", "")) < 8] == []
    assert [path for path, node in values.items() if "properties" in node and node["additionalProperties"]] == []


def test_the_defaults_and_the_schema_name_the_same_values() -> None:
    def compare(path: str, node: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
        known = resolved(node).get("properties", {})
        yield from (f"{path}.{name}: not in the schema" for name in values.keys() - known.keys())
        for name, child in known.items():
            child = resolved(child)
            if name in values and isinstance(values[name], dict) and "properties" in child:
                if values[name] or "podGC" not in name:
                    yield from compare(f"{path}.{name}", child, values[name])
            elif name not in values and "default" not in child and f"{path}.{name}" not in UNSET:
                yield f"{path}.{name}: no default"

    assert list(compare("", SCHEMA, DEFAULTS)) == []


UNSET = {
    ".global",
    ".workflow.podGC.strategy",
    ".workflow.podGC.deleteDelayDuration",
    ".modelCache.fill.resources.claims",
    ".quota.containerDefaults.claims",
    *(f".pools.{pool.value}.resources.claims" for pool in Pool),
}
"""Values whose default is to be absent."""


def test_the_everything_file_says_everything_that_a_pool_can() -> None:
    said = values_of("everything")["pools"]["generate"]
    assert said.keys() == SCHEMA["definitions"]["pool"]["properties"].keys()
    assert values_of("everything").keys() >= DEFAULTS.keys() - {"rbac"}


def test_the_chart_has_the_pools_that_the_workflows_have() -> None:
    assert set(DEFAULTS["pools"]) == {pool.value for pool in Pool}


def test_the_readme_is_up_to_date() -> None:
    assert _generator().main(["--check"]) == 0


def test_the_readme_names_every_value() -> None:
    text = (CHART / "README.md").read_text()
    for path, node in described("", SCHEMA):
        if not path.startswith((".pools.", ".global")) and "properties" not in node:
            assert f"`{path[1:]}`" in text


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_readme", CHART.parent / "generate_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"backends": {"cosmos": {"enabled": True}}}, "backends.cosmos.licenceAccepted"),
        ({"backends": {"isaac": {"enabled": True}}}, "backends.isaac.eulaAccepted"),
        ({"backends": COSMOS}, "modelCache.enabled"),
        ({"backends": {"gr00t": {"enabled": True}}}, "modelCache.enabled"),
        (
            {"backends": COSMOS, "modelCache": {"enabled": True, "claim": {"existingClaim": "models"}}},
            "pools.train.sharedMemory",
        ),
        ({"modelCache": {"enabled": True}}, "modelCache.models"),
        ({"modelCache": {"enabled": True, "models": COSMOS_WEIGHTS}}, "backends.cosmos.licenceAccepted"),
        ({"modelCache": {"enabled": True, "kind": "image"}}, "modelCache.image.reference"),
        ({"modelCache": {"enabled": True, "models": GATED}}, "huggingFace.existingSecret"),
        ({"pools": {"label": {"spot": {"enabled": True}}}}, "pools.label.spot.nodeSelector"),
        ({"pools": {"train": {"spot": {**SPOT, "onDemandAfter": 7}}}}, "pools.train.spot.onDemandAfter"),
        ({"pools": {"train": {"spot": SPOT, "retries": 2}}}, "pools.train.spot.onDemandAfter"),
        ({"quota": {"enabled": True}}, "quota.hard"),
        ({"store": {"sessionToken": True, "credentials": "workloadIdentity"}}, "store.sessionToken"),
        ({"store": {"encryption": {"kmsKeyId": "k"}}}, "store.encryption.type"),
        ({"store": {"encryption": {"type": "AES256", "kmsKeyId": "k"}}}, "store.encryption.type"),
    ],
)
def test_what_is_unset_and_needed_is_refused_by_name(values: dict[str, Any], field: str) -> None:
    with pytest.raises(helm().HelmError, match=rf"{field}: \w"):
        render(values)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"pool": {}}, "pool"),
        ({"pools": {"generate": {"nodeselector": {}}}}, "nodeselector"),
        ({"pools": {"cpu": {"concurrency": 0}}}, "concurrency"),
        ({"store": {"endpoint": "s3.example.com"}}, "endpoint"),
        ({"store": {"credentials": "keys"}}, "credentials"),
        ({"store": {"checksums": "always"}}, "checksums"),
        ({"store": {"addressing": "host"}}, "addressing"),
        ({"store": {"encryption": {"type": "kms"}}}, "encryption"),
        ({"modelCache": {"models": [{"repository": "a/b", "revision": "main"}]}}, "revision"),
        ({"images": {"jobs": {"digest": "abc"}}}, "digest"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(helm().HelmError, match=field):
        render(values)
