"""What every pod has in common: when it is retried, how long it may run, what it may do to its node."""

from __future__ import annotations

from hera.workflows import RetryPolicy, RetryStrategy, models

from hera_workflows.strict import exactly
from leicos_jobs.core.errors import ExitCode

SIGKILLED = 137
SIGTERMED = 143
LOST_POD_MESSAGES = (
    "imminent node shutdown|pod deleted|[Pp]reempt|node was low on resource|node had condition|specified deadline"
)
"""Parts of what Argo and the kubelet write (pkg/kubelet/nodeshutdown, preemption and eviction of Kubernetes 1.34). A
pod that outgrew its own disk limit is not among them; its program was killed, and that is seen by the exit code."""


RETRY_EXPRESSION = (
    'lastRetry.status == "Error"'
    f" || asInt(lastRetry.exitCode) in [{ExitCode.RETRY.value},{SIGKILLED},{SIGTERMED}]"
    f" || !(asInt(lastRetry.exitCode) in [{ExitCode.DEFECT.value},{ExitCode.INPUT.value}])"
    f' && lastRetry.message matches "{LOST_POD_MESSAGES}"'
)
"""Again when the pod was lost or ran out of time (Argo says Error, or Failed with the kubelet's message), or leicos
asked for it.

A wrong input (78) and a defect (70) are not in the list: trying again cannot help, whatever words the message holds
(what the program says about its failure is part of it). The policy must be Always, because a graceful node shutdown
shows as Failed and a deleted pod as Error; policy and expression both have to agree.
"""

USER = 1000
HOUR = 3600


def retry(limit: int) -> RetryStrategy:
    """Retry lost and interrupted pods up to `limit` times, waiting 10 s, 20 s, ... at most 5 min."""
    backoff = exactly(models.Backoff, duration="10s", factor=2, cap="5m")
    return RetryStrategy(
        limit=str(limit), retry_policy=RetryPolicy.always, expression=RETRY_EXPRESSION, backoff=backoff
    )


def container_security() -> models.SecurityContext:
    """Pod Security "restricted", and a root file system that nothing can write to."""
    return exactly(
        models.SecurityContext,
        allow_privilege_escalation=False,
        capabilities=exactly(models.Capabilities, drop=["ALL"]),
        read_only_root_filesystem=True,
    )


def pod_security() -> models.PodSecurityContext:
    """The pod half of "restricted". Set on the template: a workflow's own setting does not follow a templateRef.

    fsGroup lets the pod read a model cache claim and write its scratch space whatever user the image declares.
    """
    return exactly(
        models.PodSecurityContext,
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=exactly(models.SeccompProfile, type="RuntimeDefault"),
    )
