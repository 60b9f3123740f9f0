"""The chart's WorkflowTemplates are Hera's, and differ only where a value says so."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from chart.rendering import containers, hera, of_kind, render, rendered, workflow_templates

POOLS = ("generate", "train", "label", "replay", "cpu")
PATCH = re.compile(r"\{\{=asInt\(retries\) < (\d+) \? '(.*)' : '(.*)'\}\}")


def test_without_limits_on_concurrency_they_equal_what_hera_rendered() -> None:
    found = workflow_templates(render({"pools": {pool: {"concurrency": None} for pool in POOLS}}))
    assert found.keys() == hera().keys()
    for name, manifest in hera().items():
        assert found[name]["spec"] == manifest["spec"]
        assert found[name]["metadata"]["annotations"] == manifest["metadata"]["annotations"]
        assert manifest["metadata"]["labels"].items() <= found[name]["metadata"]["labels"].items()


def test_by_default_the_semaphore_of_its_pool_is_all_that_is_added_to_a_template() -> None:
    found = copy.deepcopy(workflow_templates(rendered("defaults")))
    for name, manifest in hera().items():
        for template in found[name]["spec"]["templates"]:
            if "container" in template:
                pool = template["metadata"]["labels"]["leicos.dev/pool"]
                reference = {"configMapKeyRef": {"name": "leicos-semaphores", "key": pool}}
                assert template.pop("synchronization") == {"semaphores": [reference]}
        assert found[name]["spec"] == manifest["spec"]


def test_every_semaphore_that_a_template_names_is_in_the_config_map() -> None:
    limits = of_kind(rendered("everything"), "ConfigMap")["leicos-limits"]["data"]
    assert limits == {"generate": "8", "train": "8", "label": "8", "replay": "8", "cpu": "50"}
    for template in containers(rendered("everything")).values():
        (semaphore,) = template["synchronization"]["semaphores"]
        assert semaphore["configMapKeyRef"]["name"] == "leicos-limits"
        assert semaphore["configMapKeyRef"]["key"] in limits


def test_a_pod_starts_on_spot_and_goes_to_on_demand_after_as_many_attempts_as_said() -> None:
    template = containers(rendered("gke-spot"))["generate"]
    match = PATCH.fullmatch(template["podSpecPatch"])
    assert match is not None
    after, spot, on_demand = int(match.group(1)), _patch(match.group(2)), _patch(match.group(3))
    assert after == 3
    assert after <= int(template["retryStrategy"]["limit"])
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    taint = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    assert spot == {
        "nodeSelector": {"cloud.google.com/gke-spot": "true"},
        "tolerations": [gpu, taint],
        "terminationGracePeriodSeconds": 15,
    }
    assert on_demand == {"tolerations": [gpu], "terminationGracePeriodSeconds": 15}
    assert "podSpecPatch" not in containers(rendered("gke-spot"))["train-idm"]


def test_quotes_in_a_value_survive_the_expression() -> None:
    taint = {"key": "spot", "operator": "Equal", "value": 'it\'s a "spot" \\ node'}
    objects = render({"pools": {"label": {"spot": {"enabled": True, "tolerations": [taint]}}}})
    match = PATCH.fullmatch(containers(objects)["label"]["podSpecPatch"])
    assert match is not None
    assert _patch(match.group(2)) == {"tolerations": [taint]}
    assert _patch(match.group(3)) == {}


def _patch(literal: str) -> dict[str, Any]:
    """What Argo's expression language makes of a single-quoted literal, parsed."""
    found = json.loads(re.sub(r"\\(.)", r"\1", literal))
    assert isinstance(found, dict)
    return found


def test_everything_that_a_pool_can_say_reaches_its_pods() -> None:
    template = containers(rendered("everything"))["label"]
    container, labels = template["container"], template["metadata"]["labels"]
    digest = "sha256:00000000000000000000000000000000000000000000000000000000000000a2"
    assert container["image"] == f"registry.example/leicos/idm@{digest}"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "2"}
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["LEICOS_IMAGE_DIGEST"] == digest
    assert environment["LEICOS_ATTEMPT"] == "{{retries}}"
    assert (environment["HF_HOME"], environment["HF_HUB_OFFLINE"]) == ("/weights", "1")
    assert environment["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    assert labels["kueue.x-k8s.io/queue-name"] == "gpu"
    assert labels["kueue.x-k8s.io/priority-class"] == "low"
    assert labels["kai.scheduler/queue"] == "robotics"
    assert (labels["leicos.dev/pool"], labels["team"]) == ("label", "robotics")
    assert template["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    assert template["nodeSelector"] == {"pool": "gpu"}
    assert "nodeAffinity" in template["affinity"]
    assert (template["priorityClassName"], template["schedulerName"]) == ("batch", "kai-scheduler")
    assert template["retryStrategy"]["limit"] == "5"
    security = template["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (1234, 1234, 1234)
    assert security["runAsNonRoot"] is True
    assert '"runtimeClassName":"nvidia"' in template["podSpecPatch"]


def test_volumes_of_a_pool_are_scratch_cache_certificates_shared_memory_and_its_own() -> None:
    template = containers(rendered("everything"))["label"]
    volumes = {volume["name"]: volume for volume in template["volumes"]}
    mounts = {mount["name"]: mount for mount in template["container"]["volumeMounts"]}
    assert volumes.keys() == mounts.keys() == {"tmp", "no-token", "models", "ca", "shm", "extra"}
    claim = volumes["tmp"]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"]["requests"]["storage"] == "100Gi"
    assert volumes["models"]["persistentVolumeClaim"] == {"claimName": "leicos-models", "readOnly": True}
    assert mounts["models"] == {"name": "models", "mountPath": "/weights", "readOnly": True}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    start = {volume["name"] for volume in containers(rendered("everything"))["start"]["volumes"]}
    assert "config" in start


def test_the_exit_handler_alone_gets_the_webhook() -> None:
    for name, template in containers(rendered("everything")).items():
        variables = {item["name"] for item in template["container"]["env"]}
        assert ("LEICOS_WEBHOOK_URL" in variables) == (name == "finish")
        assert ("LEICOS_ARGO_URL" in variables) == (name == "finish")


def test_only_the_isaac_image_says_that_the_eula_is_accepted() -> None:
    for template in containers(rendered("eks-karpenter")).values():
        variables = {item["name"]: item.get("value") for item in template["container"]["env"]}
        isaac = template["metadata"]["labels"]["leicos.dev/image"] == "isaac"
        assert variables.get("ACCEPT_EULA") == ("Y" if isaac else None)


def test_settings_of_workflows_reach_all_of_them() -> None:
    for template in workflow_templates(rendered("everything")).values():
        spec = template["spec"]
        assert spec["serviceAccountName"] == "leicos-jobs"
        assert (spec["priority"], spec["parallelism"]) == (10, 300)
        assert spec["podGC"] == {"strategy": "OnPodSuccess", "deleteDelayDuration": "10m"}
        assert spec["ttlStrategy"] == {"secondsAfterSuccess": 86400, "secondsAfterFailure": 172800}
        assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_with_the_minimal_values_no_pod_asks_for_a_gpu_and_all_run_in_one_image() -> None:
    found = containers(rendered("minimal"))
    assert {template["container"]["image"] for template in found.values()} == {"ghcr.io/leicos/jobs:0.1.0"}
    assert "nvidia.com/gpu" not in json.dumps([template["container"]["resources"] for template in found.values()])


@pytest.mark.parametrize(("name", "secret"), [("defaults", "leicos-s3"), ("everything", "my-s3")])
def test_pods_take_their_credentials_from_the_named_secret(name: str, secret: str) -> None:
    for template in containers(rendered(name)).values():
        sources = template["container"]["envFrom"]
        assert {"secretRef": {"name": secret, "optional": True}} in sources
        assert {"configMapRef": {"name": "leicos-s3", "optional": True}} in sources


def test_with_a_workload_identity_no_secret_is_named() -> None:
    objects = rendered("eks-karpenter")
    assert "secretRef" not in json.dumps(workflow_templates(objects))
    repository = of_kind(objects, "ConfigMap")["artifact-repositories"]["data"]["leicos"]
    assert "useSDKCreds: true" in repository
    assert "SecretKey" not in repository
    account = of_kind(objects, "ServiceAccount")["leicos-workflow"]
    assert "eks.amazonaws.com/role-arn" in account["metadata"]["annotations"]
