"""What a test sees: a cluster with Argo and S3, wherever it runs.

On this machine it is started for the test run and stopped afterwards, unless
`python -m tests.cluster.harness up` left one running: then that one is used and
stays. LEICOS_TEST_KUBECONFIG names a cluster elsewhere instead; such a cluster has
Argo already, and the environment says where its S3 is and how it takes images.
"""

from __future__ import annotations

import copy
import json
import os
import shlex
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import kubernetes.client
import kubernetes.config
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from . import argo, images, machine, oci, parts
from .object_store import ObjectStore
from .places import ARGO, ARGO_NAMESPACE, KUBECONFIG, LOGS, NAMESPACE
from .processes import HarnessError, run, tail

_EXTERNAL = "LEICOS_TEST_KUBECONFIG"
_LOAD = "LEICOS_TEST_LOAD_IMAGE"
_BASE = "LEICOS_TEST_BASE_IMAGE"
_FINISHED = ("Succeeded", "Failed", "Error")


class Cluster:
    """A Kubernetes cluster with Argo Workflows and an S3 bucket; use it in a `with` statement."""

    def __init__(self, namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self.argo_namespace = ARGO_NAMESPACE
        external = os.environ.get(_EXTERNAL)
        self.external = external is not None
        self.kubeconfig = Path(external) if external is not None else KUBECONFIG
        self.argo_bin = ARGO / "argo"
        self.logs = LOGS
        self._store: ObjectStore | None = None
        self._api: Any = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        if lacking := missing():
            raise HarnessError(lacking)
        try:
            self._store = self._external_store() if self.external else self._own_store()
            self.kubeconfig = self._kubeconfig_of_namespace()
            self.create_namespace(self.namespace)
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def in_namespace(self, name: str) -> Self:
        """The same cluster seen from another namespace, made when it is not there and empty but for its label.

        Nothing that Argo needs is in it: that is for whatever is installed there. It lives as long as this object.
        """
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        found = copy.copy(self)
        found.namespace = name
        found.kubeconfig = found._kubeconfig_of_namespace()
        return found

    @property
    def store(self) -> ObjectStore:
        """The bucket with all that opens it."""
        if self._store is None:
            raise HarnessError("the cluster is not started: use it in a `with` statement")
        return self._store

    @property
    def s3_endpoint(self) -> str:
        """A URL that works from pods and from here."""
        return self.store.endpoint

    @property
    def s3_access_key(self) -> str:
        """The bucket's access key."""
        return self.store.access_key

    @property
    def s3_secret_key(self) -> str:
        """The bucket's secret key."""
        return self.store.secret_key

    @property
    def bucket(self) -> str:
        """The bucket, also Argo's artifact repository."""
        return self.store.bucket

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run kubectl, in the tests' namespace unless told otherwise, and return its output."""
        return run(parts.kubectl(), "--kubeconfig", self.kubeconfig, *arguments, stdin=stdin)

    def argo(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Run Argo's client; it always gets the namespace, without it `submit` creates here and waits there."""
        environment = {"KUBECONFIG": str(self.kubeconfig), "ARGO_SERVER": ""}
        return run(self.argo_bin, "--namespace", self.namespace, *arguments, stdin=stdin, env=environment)

    def apply(self, *objects: Mapping[str, object]) -> None:
        """Create or update objects."""
        self.kubectl("apply", "-f", "-", stdin=argo.as_list([dict(each) for each in objects]))

    def create(self, manifest: Mapping[str, object]) -> dict[str, Any]:
        """Create one object and return what became of it."""
        answer: dict[str, Any] = json.loads(self.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(manifest)))
        return answer

    def create_namespace(self, name: str) -> None:
        """Make a namespace in which workflows can run: restricted pods, few rights, the bucket's credentials."""
        self.apply(*argo.namespace_objects(name, self.store))

    def submit(self, manifest: Path, *options: str) -> str:
        """Submit a workflow by `argo submit` and return its name."""
        return self.argo("submit", manifest, "--output", "name", *options).strip()

    def workflow(self, name: str) -> dict[str, Any]:
        """A Workflow object as it is now."""
        if self._api is None:
            # looked at every second: a kubectl for each look would take a tenth of a core
            self._api = kubernetes.client.CustomObjectsApi(
                kubernetes.config.new_client_from_config(str(self.kubeconfig))
            )
        place = ("argoproj.io", "v1alpha1", self.namespace, "workflows", name)
        try:
            found: dict[str, Any] = self._api.get_namespaced_custom_object(*place, _request_timeout=60)
        except (ApiException, HTTPError) as error:
            raise HarnessError(f"workflow {name}: {error}") from error
        return found

    def wait_for_workflow(self, name: str, patience: float = 300, pause: float = 1) -> dict[str, Any]:
        """Wait until a workflow has ended, however, and return the object; running out of patience explains why.

        pause: seconds between looks; each fetches the whole object.
        """
        deadline = time.monotonic() + patience
        while True:
            found = self.workflow(name)
            if found.get("status", {}).get("phase") in _FINISHED:
                return found
            if time.monotonic() > deadline:
                raise HarnessError(f"workflow {name} has not ended within {patience:.0f} s\n{self.diagnose()}")
            time.sleep(pause)

    def advertise(self, resource: str, count: int) -> None:
        """Let every node claim devices that it lacks, say nvidia.com/gpu, so that pods asking for them are placed."""
        path = f"/status/capacity/{resource.replace('~', '~0').replace('/', '~1')}"
        patch = json.dumps([{"op": "add", "path": path, "value": str(count)}])
        for node in self.kubectl("get", "nodes", "-o", "name").split():
            self.kubectl("patch", node, "--subresource=status", "--type=json", f"--patch={patch}")

    def load_image(self, archive: Path) -> str:
        """Make an OCI archive's image available to pods (imagePullPolicy Never) and return its name."""
        if not self.external:
            return machine.load(archive)
        command = os.environ.get(_LOAD)
        if not command:
            raise HarnessError(f"set {_LOAD} to the command that loads an archive, e.g. `kind load image-archive`")
        run(*shlex.split(command), archive)
        return oci.identify(archive)[0]

    def build_image(
        self, context: Path, dockerfile: Path, tag: str, build_args: Mapping[str, str] | None = None
    ) -> str:
        """Build a Dockerfile (name it localhost/...), load the image and return its name."""
        return self.load_image(images.build(context, dockerfile, tag, build_args or {}))

    def base_image(self) -> str:
        """The name of a Debian with Python to build on: what Dockerfiles get as their base argument."""
        return os.environ.get(_BASE) or images.base()[0]

    def diagnose(self) -> str:
        """Pods, recent events and the controller's log, for the text of a failure."""
        commands = [
            ("get", "workflows,pods", "-o", "wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ]
        told = []
        for command in commands:
            try:
                told.append(self.kubectl(*command)[-6000:])
            except HarnessError as error:
                told.append(str(error))
        return "\n".join([*told, "" if self.external else tail("workflow-controller")])

    def _kubeconfig_of_namespace(self) -> Path:
        """A copy whose context names our namespace: the option --namespace would refuse objects of any other."""
        config = json.loads(self.kubectl("config", "view", "--flatten", "--minify", "-o", "json"))
        config["contexts"][0]["context"]["namespace"] = self.namespace
        file = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory())) / "kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def _own_store(self) -> ObjectStore:
        with ExitStack() as use:
            use.enter_context(machine.locked(shared=True))
            running = machine.found()
            if running is not None:
                self._cleanup.push(use.pop_all())
                return running
        self._cleanup.enter_context(machine.locked())
        store = machine.up()
        self._cleanup.callback(machine.down)
        return store

    def _external_store(self) -> ObjectStore:
        names = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "BUCKET")
        given = [os.environ.get(f"LEICOS_TEST_S3_{name}", "") for name in names]
        if not all(given):
            raise HarnessError(f"{_EXTERNAL} is set; set {', '.join(f'LEICOS_TEST_S3_{name}' for name in names)} too")
        limited = [os.environ.get(f"LEICOS_TEST_S3_LIMITED_{name}", "") for name in ("ACCESS_KEY", "SECRET_KEY")]
        return ObjectStore(*given, *limited)


def missing() -> str | None:
    """Why no cluster test can run here, and what to provide; None when they can."""
    external = _EXTERNAL in os.environ
    if not external and os.geteuid() != 0:
        return f"NOTHING WAS TESTED ON A CLUSTER: to start one here takes root; or name another in {_EXTERNAL}."
    lacking = [name for name in parts.missing_argo() if name == "argo" or not external]
    if not lacking:
        return None
    return (
        f"NOTHING WAS TESTED ON A CLUSTER: {ARGO} lacks {', '.join(lacking)}.\n"
        "Put Argo Workflows 4.1.2 there: the programs argo, workflow-controller and argoexec, and the folder\n"
        "crds/full with its definitions (manifests/base/crds/full of argoproj/argo-workflows).\n"
        "LEICOS_ARGO_BIN names another folder. Or name a cluster that has Argo in LEICOS_TEST_KUBECONFIG."
    )
