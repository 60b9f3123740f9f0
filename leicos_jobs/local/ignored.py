"""The closed list of fields that mean something on a cluster and nothing on one machine. The rest is implemented.

Grouped by where they stand. Nothing here may change what a command computes: that is why, for example, `parallelism`
and `activeDeadlineSeconds` are implemented and not listed.
"""

from __future__ import annotations

from leicos_jobs.core.pod import POD

METADATA = frozenset({"labels", "annotations", "namespace"})
"""Names for people and selectors. (A workflow's own name is given to `run_workflow`.)"""

SPEC = frozenset(
    {
        "serviceAccountName",  # rights in the cluster
        "automountServiceAccountToken",
        "executor",
        "securityContext",  # the process has the rights of the user who starts it
        "ttlStrategy",  # when finished objects are removed
        "podGC",
        "archiveLogs",
        "artifactRepositoryRef",
        "imagePullSecrets",
        "priority",  # order among workflows
        "synchronization",  # limits shared with other workflows
        "nodeSelector",  # where pods are placed
        "tolerations",
        "affinity",
        "schedulerName",
        "podPriorityClassName",
        "podMetadata",
        "podSpecPatch",
        "workflowMetadata",
    }
)

TEMPLATE = frozenset(
    {
        "metadata",  # pool and image labels
        "securityContext",
        "volumes",  # scratch space: a process has its own folder for outputs and this machine's /tmp
        "nodeSelector",
        "tolerations",
        "affinity",
        "schedulerName",
        "priorityClassName",
        "podSpecPatch",
        "serviceAccountName",
        "automountServiceAccountToken",
        "executor",
        "archiveLocation",
        "synchronization",
    }
)

CONTAINER = frozenset(
    {
        "image",  # the process runs in this environment
        "imagePullPolicy",
        "envFrom",  # credentials: the process inherits this environment
        "resources",  # a GPU is used if the command finds one
        "securityContext",
        "volumeMounts",
        "name",
    }
)

ENVIRONMENT = frozenset({"HOME", POD})
"""HOME makes a read-only root file system bearable; here it holds the user's credentials and caches. And a process here
is not a pod."""

PARAMETER = frozenset({"description"})

OUTPUTS = frozenset({"artifacts"})
"""Copies for the Argo UI of what a command also writes to the run root."""
