"""Argo's objects through Kubernetes' API: an installed WorkflowTemplate in, a Workflow out.

The only module that imports `kubernetes`, and only when it connects. Errors of the API become errors with a fix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from leicos_jobs.core.errors import InputError, LeicosError, RetryError

GROUP, VERSION = "argoproj.io", "v1alpha1"
FINISHED = ("Succeeded", "Failed", "Error")
T = TypeVar("T")


@dataclass(frozen=True)
class Workflows:
    """Workflows of one namespace. `api` is kubernetes.client.CustomObjectsApi, or a test's stand-in."""

    api: Any
    namespace: str

    @classmethod
    def connect(cls, namespace: str | None = None, context: str | None = None) -> Workflows:
        """Connect as kubectl does: KUBECONFIG, its current context and that context's namespace. Raises InputError."""
        try:
            import kubernetes.client
            import kubernetes.config
        except ImportError:
            raise InputError("submitting needs the package kubernetes", fix="pip install 'leicos[cluster]'") from None
        loader: Any = kubernetes.config  # its functions carry no types
        try:
            loader.load_kube_config(context=context)
            contexts, active = loader.list_kube_config_contexts()
        except loader.ConfigException as error:
            raise InputError(f"no cluster is configured: {error}", fix="set KUBECONFIG or name a --context") from None
        current = next((item for item in contexts if item["name"] == context), active)
        chosen = namespace or current.get("context", {}).get("namespace") or "default"
        return cls(kubernetes.client.CustomObjectsApi(), chosen)

    def parameters(self, template: str) -> list[str]:
        """Parameters of an installed WorkflowTemplate. Raises InputError if it is not there."""
        what = f"WorkflowTemplate {template} in namespace {self.namespace}"
        fix = "install the chart: helm install leicos helm/leicos -n NAMESPACE, or name its --namespace"
        place = (GROUP, VERSION, self.namespace, "workflowtemplates")
        found = self._call(what, fix, lambda: self.api.get_namespaced_custom_object(*place, template))
        arguments = found.get("spec", {}).get("arguments", {}).get("parameters", [])
        return [str(parameter["name"]) for parameter in arguments]

    def create(self, workflow: dict[str, Any]) -> str:
        """Create a Workflow and return its name."""
        fix = "correct the workflow; `leicos lint` checks manifests offline"
        place = (GROUP, VERSION, self.namespace, "workflows")
        made = self._call("the Workflow", fix, lambda: self.api.create_namespaced_custom_object(*place, workflow))
        return str(made["metadata"]["name"])

    def active(self, run: str) -> list[str]:
        """Names of unfinished workflows that work on a run, or wait for their turn to."""
        return sorted(item["metadata"]["name"] for item in self._all() if not _ended(item) and run in _runs(item))

    def ended_holders(self) -> dict[str, list[str]]:
        """Ended workflows that others wait for -> the pools in which they still hold a slot.

        Argo 4.1 forgets to release some slots of a workflow that is stopped while several of its pods run (in
        `Manager.ReleaseAll` of workflow/sync it deletes from the list that it goes through). They are free again a
        minute after the workflow is deleted.
        """
        items = self._all()
        ended = {item["metadata"]["name"] for item in items if _ended(item)}
        held: dict[str, set[str]] = {}
        for item in items:
            waiting = item.get("status", {}).get("synchronization", {}).get("semaphore", {}).get("waiting") or []
            for lock in waiting if not _ended(item) else []:
                for holder in lock.get("holders") or []:
                    name = holder.split("/")[1] if "/" in holder else holder
                    if name in ended:
                        held.setdefault(name, set()).add(lock["semaphore"].rpartition("/")[2])
        return {name: sorted(pools) for name, pools in sorted(held.items())}

    def _all(self) -> list[dict[str, Any]]:
        fix = "check that Argo Workflows is installed"
        place = (GROUP, VERSION, self.namespace, "workflows")
        listed = self._call("workflows", fix, lambda: self.api.list_namespaced_custom_object(*place))
        return list(listed.get("items", []))

    def _call(self, what: str, fix: str, act: Callable[[], Any]) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return act()
        except ApiException as error:
            raise self._explain(what, fix, error) from error
        except HTTPError as error:
            raise RetryError(f"the cluster does not answer: {error}", fix="check KUBECONFIG; try again") from error

    def _explain(self, what: str, fix: str, error: Any) -> LeicosError:
        if error.status == 404:
            return InputError(f"{what}: not found", fix=fix)
        if error.status in (401, 403):
            return InputError(
                f"{what}: not allowed ({error.reason})",
                fix=f"ask for the role leicos-submitter in namespace {self.namespace} (chart value submitter.subjects)",
            )
        if error.status in (400, 422):
            return InputError(f"{what}: refused by the cluster: {error.body or error.reason}", fix=fix)
        return RetryError(f"{what}: {error.status} {error.reason}", fix="try again")


def _ended(workflow: dict[str, Any]) -> bool:
    return workflow.get("status", {}).get("phase") in FINISHED


def _runs(workflow: dict[str, Any]) -> list[str]:
    """Values of a workflow's parameter `run`."""
    parameters = workflow.get("spec", {}).get("arguments", {}).get("parameters", [])
    return [str(parameter.get("value", "")).rstrip("/") for parameter in parameters if parameter.get("name") == "run"]
