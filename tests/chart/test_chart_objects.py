"""The objects beside the WorkflowTemplates: rights, network, store, model cache."""

from __future__ import annotations

import json
from typing import Any

import yaml
from botocore.session import Session
from chart.rendering import CHART, containers, of_kind, render, rendered

from leicos_jobs.store.s3.settings import read_settings


def test_job_pods_may_report_results_and_nothing_else() -> None:
    role = of_kind(rendered("everything"), "Role")["leicos-jobs"]
    only = {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    assert role["rules"] == [only]
    binding = of_kind(rendered("everything"), "RoleBinding")["leicos-jobs"]
    assert [subject["name"] for subject in binding["subjects"]] == ["leicos-jobs"]


def test_submitters_can_neither_read_secrets_nor_change_templates() -> None:
    rules = of_kind(rendered("everything"), "Role")["leicos-people"]["rules"]
    assert "secrets" not in json.dumps(rules)
    (templates,) = [rule for rule in rules if "workflowtemplates" in rule["resources"]]
    assert templates["verbs"] == ["get", "list"]
    bindings = of_kind(rendered("defaults"), "RoleBinding")
    assert "leicos-submitter" not in bindings


def test_where_only_other_pools_are_limited_the_first_pod_asks_for_a_semaphore_all_the_same() -> None:
    others = {pool: {"concurrency": None} for pool in ("cpu", "generate", "label", "replay")}
    objects = render({"pools": others})
    assert of_kind(objects, "ConfigMap")["leicos-semaphores"]["data"] == {"cpu": "100000", "train": "4"}
    (semaphore,) = containers(objects)["start"]["synchronization"]["semaphores"]
    assert semaphore["configMapKeyRef"] == {"name": "leicos-semaphores", "key": "cpu"}
    assert "synchronization" not in containers(objects)["generate"]


def test_a_session_token_reaches_argos_artifact_repository() -> None:
    for token in (False, True):
        objects = render({"store": {"bucket": "robots", "sessionToken": token}})
        repository = yaml.safe_load(of_kind(objects, "ConfigMap")["artifact-repositories"]["data"]["leicos"])["s3"]
        wanted = {"name": "leicos-s3", "key": "AWS_SESSION_TOKEN"} if token else None
        assert repository.get("sessionTokenSecret") == wanted


def test_the_report_is_told_where_argos_artifacts_go() -> None:
    for values, bucket in (({"store": {"bucket": "robots"}}, "robots"), ({}, None)):
        environment = {
            item["name"]: item.get("value") for item in containers(render(values))["report"]["container"]["env"]
        }
        assert environment.get("LEICOS_ARTIFACT_BUCKET") == bucket


def test_all_leicos_pods_are_cut_off_and_get_back_what_they_need() -> None:
    policies = of_kind(rendered("everything"), "NetworkPolicy")
    deny, jobs, web = (policies[name]["spec"] for name in ("leicos-deny", "leicos-jobs", "leicos-web"))
    every_pod = {"matchExpressions": [{"key": "leicos.dev/pool", "operator": "Exists"}]}
    assert deny == {"podSelector": every_pod, "policyTypes": ["Ingress", "Egress"]}
    assert jobs["podSelector"] == every_pod
    reached = [
        (destination.get("ipBlock", {}).get("cidr"), port.get("protocol"), port.get("port"))
        for rule in jobs["egress"]
        for destination in rule["to"]
        for port in rule.get("ports", [{}])
    ]
    assert reached == [
        (None, "UDP", 53),
        (None, "TCP", 53),
        ("169.254.20.10/32", "UDP", 53),
        ("169.254.20.10/32", "TCP", 53),
        ("10.0.0.1/32", "TCP", 6443),
        ("10.1.0.0/16", "TCP", 443),
        ("10.1.0.0/16", "TCP", 9000),
        ("10.2.0.0/16", None, None),
    ]
    (selector,) = web["podSelector"]["matchExpressions"]
    assert selector["values"] == ["cpu", "cache"]
    assert not of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")


def test_every_pod_carries_the_label_that_the_policies_select() -> None:
    for template in containers(rendered("everything")).values():
        assert template["metadata"]["labels"]["leicos.dev/pool"]
    (job,) = of_kind(rendered("everything"), "Job").values()
    assert job["spec"]["template"]["metadata"]["labels"]["leicos.dev/pool"] == "cache"


def test_the_store_becomes_environment_and_artifact_repository() -> None:
    maps = of_kind(rendered("everything"), "ConfigMap")
    assert maps["leicos-s3"]["data"] == {
        "AWS_ENDPOINT_URL": "http://s3.storage.svc:9000",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CA_BUNDLE": "/etc/leicos/ca/bundle.pem",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported",
        "LEICOS_S3_ADDRESSING": "virtual",
        "LEICOS_S3_SSE": "aws:kms",
        "LEICOS_S3_SSE_KMS_KEY_ID": "arn:aws:kms:us-east-1:123456789012:key/leicos",
    }
    repository = maps["artifact-repositories"]
    annotation = {"workflows.argoproj.io/default-artifact-repository": "leicos"}
    assert repository["metadata"]["annotations"] == annotation
    assert yaml.safe_load(repository["data"]["leicos"]) == {
        "s3": {
            "bucket": "leicos",
            "endpoint": "s3.storage.svc:9000",
            "insecure": True,
            "region": "us-east-1",
            "keyFormat": "argo/artifacts/{{workflow.name}}/{{pod.name}}",
            "accessKeySecret": {"name": "my-s3", "key": "AWS_ACCESS_KEY_ID"},
            "secretKeySecret": {"name": "my-s3", "key": "AWS_SECRET_ACCESS_KEY"},
            "sessionTokenSecret": {"name": "my-s3", "key": "AWS_SESSION_TOKEN"},
            "caSecret": {"name": "my-ca", "key": "bundle.pem"},
            "encryptionOptions": {
                "enableEncryption": True,
                "kmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/leicos",
            },
        }
    }


def test_what_the_store_says_to_pods_is_what_the_s3_store_reads() -> None:
    """Under the names, and with the values, that it accepts."""
    data = of_kind(rendered("everything"), "ConfigMap")["leicos-s3"]["data"]
    settings = read_settings(Session(), {name: value for name, value in data.items() if name != "AWS_CA_BUNDLE"})
    assert settings.endpoint == "http://s3.storage.svc:9000"
    assert (settings.region, settings.addressing) == ("us-east-1", "virtual")
    assert settings.request_checksum == settings.response_checksum == "when_supported"
    assert settings.encryption == {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": "arn:aws:kms:us-east-1:123456789012:key/leicos",
    }


def test_without_an_endpoint_or_bucket_nothing_is_said_about_the_store() -> None:
    assert set(of_kind(rendered("defaults"), "ConfigMap")) == {"leicos-semaphores"}


def test_a_claim_that_exists_is_mounted_and_not_made() -> None:
    objects = render({"modelCache": {"enabled": True, "claim": {"existingClaim": "mine"}}})
    assert not of_kind(objects, "PersistentVolumeClaim")
    assert not of_kind(objects, "Job")
    volumes = {volume["name"]: volume for volume in containers(objects)["generate"]["volumes"]}
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == "mine"
    assert "models" not in {volume["name"] for volume in containers(objects)["gate"]["volumes"]}


def test_the_filling_job_gets_a_new_name_when_a_revision_changes() -> None:
    def job(revision: str) -> Any:
        models = [{"repository": "nvidia/Cosmos-Reason1-7B", "revision": revision}]
        accepted = {"cosmos": {"licenceAccepted": True}}
        (found,) = of_kind(render({"backends": accepted, "modelCache": {"enabled": True, "models": models}}), "Job")
        return found

    assert job("1" * 40) == job("1" * 40)
    assert job("1" * 40) != job("2" * 40)


def test_the_filling_job_fetches_leisaacs_scenes_to_where_replay_looks_for_them() -> None:
    """With and without models beside them; the fetcher's exit status 78, another sha256, ends the job."""
    objects = render({"modelCache": {"enabled": True, "scenes": ["LeIsaac-SO101-LiftCube-v0"]}})
    (job,) = of_kind(objects, "Job").values()
    pod = job["spec"]["template"]["spec"]
    (scene,) = pod["initContainers"]
    assert scene["command"][1:] == ["-m", "leicos_jobs.backends.isaac.assets"]
    assert scene["args"] == ["LeIsaac-SO101-LiftCube-v0", "/models/leisaac"]
    assert scene["volumeMounts"][0] == {"name": "models", "mountPath": "/models"}
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {"operator": "In", "values": [78]}, "of any container"
    replay = {item["name"]: item.get("value") for item in containers(objects)["replay"]["container"]["env"]}
    assert replay["HF_HOME"] == "/models", "IsaacReplayer looks below it for leisaac/"
    (job,) = of_kind(rendered("everything"), "Job").values()
    assert len(job["spec"]["template"]["spec"]["initContainers"]) == 2


def test_the_token_is_given_to_the_filling_job_only() -> None:
    objects = rendered("everything")
    holders = [found["kind"] for found in objects if "hugging-face" in json.dumps(found)]
    assert holders == ["Job"]
    claim = of_kind(objects, "PersistentVolumeClaim")["leicos-models"]
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_an_image_volume_needs_no_claim_and_no_job() -> None:
    objects = rendered("eks-karpenter")
    assert not of_kind(objects, "Job")
    volumes = {volume["name"]: volume for volume in containers(objects)["label"]["volumes"]}
    assert volumes["models"]["image"]["reference"].startswith("123456789012.dkr.ecr")


def test_a_quota_comes_with_defaults_for_containers_that_state_nothing() -> None:
    objects = rendered("everything")
    assert of_kind(objects, "ResourceQuota")["leicos"]["spec"]["hard"]["requests.nvidia.com/gpu"] == "16"
    (limit,) = of_kind(objects, "LimitRange")["leicos"]["spec"]["limits"]
    assert limit["defaultRequest"] == {"cpu": "10m", "memory": "32Mi"}
    assert not of_kind(rendered("defaults"), "ResourceQuota")


def test_the_job_that_fills_the_cache_may_download() -> None:
    """Its image is offline by its own ENV, as everything else has to be."""
    assert "HF_HUB_OFFLINE=1" in (CHART.parents[1] / "images/cosmos/Dockerfile").read_text()
    (job,) = of_kind(rendered("everything"), "Job").values()
    (fill,) = job["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each.get("value") for each in fill["env"]}
    assert (given["HF_HUB_OFFLINE"], given["TRANSFORMERS_OFFLINE"]) == ("0", "0")
